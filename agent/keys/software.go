package keys

import (
	"context"
	"fmt"
	"sync"
)

// Software is a secure module in ordinary memory: what a simulated PIN pad has
// inside. It is a Store that also makes PIN blocks, in a terminal the work of the
// PIN pad alone. The zero value has no keys at all.
type Software struct {
	mu      sync.Mutex // guards all below
	tmk     Key
	working map[Use]Key
}

var _ Store = (*Software)(nil)

// NewSoftware copies a TMK of 16 or 24 bytes; the caller clears its own.
func NewSoftware(tmk []byte) (*Software, error) {
	k, err := newTMK(tmk)
	if err != nil {
		return nil, err
	}
	return &Software{tmk: k}, nil
}

func newTMK(tmk []byte) (Key, error) {
	if len(tmk) == 8 {
		return Key{}, fmt.Errorf("load TMK: %w: single DES", ErrKeyLength)
	}
	k, err := NewKey(tmk)
	if err != nil {
		return Key{}, fmt.Errorf("load TMK: %w", err)
	}
	return k, nil
}

// InstallWorking implements Store.
func (s *Software) InstallWorking(ctx context.Context, use Use, cryptogram, kcv []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := use.check(); err != nil {
		return fmt.Errorf("install working key: %w: %q", err, string(use))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := unwrap(s.tmk, cryptogram)
	if err != nil {
		return fmt.Errorf("install %s key: %w", use, err)
	}
	if err := k.checkKCV(kcv); err != nil {
		k.Zeroise()
		return fmt.Errorf("install %s key: %w", use, err)
	}
	for other, held := range s.working {
		if other != use && k.equal(held) {
			k.Zeroise()
			return fmt.Errorf("install %s key: %w: it is the %s key", use, ErrUse, other)
		}
	}
	if s.working == nil {
		s.working = make(map[Use]Key)
	}
	s.working[use].Zeroise()
	s.working[use] = k
	return nil
}

func unwrap(tmk Key, cryptogram []byte) (Key, error) {
	switch len(cryptogram) {
	case 8, 16, 24:
	default:
		return Key{}, fmt.Errorf("%w: cryptogram of %d bytes", ErrKeyLength, len(cryptogram))
	}
	clearKey, err := tmk.DecryptECB(cryptogram)
	if err != nil {
		return Key{}, err
	}
	defer Zeroise(clearKey)
	return NewKey(clearKey)
}

// MAC implements Store.
func (s *Software) MAC(ctx context.Context, alg MACAlgorithm, data []byte) ([8]byte, error) {
	if err := ctx.Err(); err != nil {
		return [8]byte{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mac, err := macWith(s.working[UseMAC], alg, data)
	if err != nil {
		return [8]byte{}, fmt.Errorf("make MAC: %w", err)
	}
	return mac, nil
}

// PINBlock makes the enciphered block of ISO 9564-1 format 0. pin is 4 to 12
// ASCII digits and stays the caller's, who clears it; pan has 12 to 19 digits.
// ErrNoKey, ErrPIN, ErrPAN.
func (s *Software) PINBlock(ctx context.Context, pin []byte, pan string) (block [8]byte, err error) {
	if err := ctx.Err(); err != nil {
		return block, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.working[UsePIN].block()
	if err != nil {
		return block, fmt.Errorf("encipher PIN: %w", err)
	}
	clearBlock, err := EncodeFormat0(pin, pan)
	defer Zeroise(clearBlock[:])
	if err != nil {
		return block, fmt.Errorf("encipher PIN: %w", err)
	}
	c.Encrypt(block[:], clearBlock[:])
	return block, nil
}

// KCV is the check value of the working key of this use; false if there is none.
func (s *Software) KCV(use Use) ([KCVSize]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.working[use]
	return k.KCV(), !k.IsZero()
}

// Wipe zeroises every key, the TMK too: what a tamper does. Only a new module
// can be used again.
func (s *Software) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tmk.Zeroise()
	for _, k := range s.working {
		k.Zeroise()
	}
	clear(s.working)
}
