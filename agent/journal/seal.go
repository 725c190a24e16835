package journal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"posagent/agent/payment"
)

// keyLen is the length of the device key: AES-256.
const keyLen = 32

// sealer encrypts what may lie on disk only while a record is open.
type sealer struct {
	aead cipher.AEAD
	rand io.Reader
}

func newSealer(key []byte, rand io.Reader) (*sealer, error) {
	if len(key) != keyLen {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(key), keyLen)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make device cipher: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("make device cipher: %w", err)
	}
	return &sealer{aead, rand}, nil
}

// seal gives nonce and ciphertext, bound to the record and the field.
func (s *sealer) seal(id, field string, plain []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	if _, err := io.ReadFull(s.rand, nonce); err != nil {
		return nil, fmt.Errorf("seal %s: %w", field, err)
	}
	return s.aead.Seal(nonce, nonce, plain, sealAAD(id, field)), nil
}

func (s *sealer) open(id, field string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, errors.New("sealed " + field + " is too short")
	}
	plain, err := s.aead.Open(nil, sealed[:n], sealed[n:], sealAAD(id, field))
	if err != nil {
		return nil, fmt.Errorf("unseal %s: %w", field, err)
	}
	return plain, nil
}

func sealAAD(id, field string) []byte { return []byte(id + "\x00" + field) }

// imageField names the sealed part of a reversal in the additional data.
const imageField = "reversal image"

// image is what a reversal needs beyond the record. It exists only sealed, and
// only while the record is open. Track 2 and PIN block have no place in it.
type image struct {
	PAN    string `json:"pan,omitempty"`
	Expiry string `json:"expiry,omitempty"`
	ICC    []byte `json:"icc,omitempty"`
}

func (s *sealer) sealImage(id string, r payment.Request) ([]byte, error) {
	plain, err := json.Marshal(image{r.PAN.Reveal(), r.Expiry, r.ICC})
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", imageField, err)
	}
	defer clear(plain)
	return s.seal(id, imageField, plain)
}

func (s *sealer) openImage(id string, sealed []byte) (payment.PAN, image, error) {
	plain, err := s.open(id, imageField, sealed)
	if err != nil {
		return payment.PAN{}, image{}, err
	}
	defer clear(plain)
	var im image
	if err := json.Unmarshal(plain, &im); err != nil {
		return payment.PAN{}, image{}, errors.New("sealed " + imageField + " is not readable")
	}
	if im.PAN == "" {
		return payment.PAN{}, im, nil
	}
	pan, err := payment.NewPAN(im.PAN)
	return pan, im, err
}
