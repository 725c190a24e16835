package keys

import (
	"crypto/subtle"
	"fmt"
	"io"
	"math/bits"
	"sync"
)

// freshTries bounds how often Fresh draws again when the key drawn already
// serves another use: with real randomness the second draw never happens.
const freshTries = 8

// Wrapped is a working key on its way to a terminal.
type Wrapped struct {
	Use        Use
	Cryptogram []byte        // 8, 16 or 24 bytes: the key under the TMK, ECB
	KCV        [KCVSize]byte // check value of the key itself
}

// Host is the acquirer's side of one terminal's keys, for the host simulator: it
// makes working keys, checks MACs and opens PIN blocks. Never part of a
// terminal.
type Host struct {
	mu      sync.Mutex // guards all below
	tmk     Key
	rand    io.Reader
	working map[Use]Key
}

// NewHost copies a TMK of 16 or 24 bytes, the one that the terminal's PIN pad
// holds. rand is where keys are drawn from: crypto/rand.Reader, or a seeded
// reader in a test.
func NewHost(tmk []byte, rand io.Reader) (*Host, error) {
	k, err := newTMK(tmk)
	if err != nil {
		return nil, err
	}
	return &Host{tmk: k, rand: rand, working: make(map[Use]Key)}, nil
}

// Fresh draws a new working key of 8, 16 or 24 bytes, makes it the current one of
// its use and gives it wrapped for the terminal. The old one is forgotten.
func (h *Host) Fresh(use Use, size int) (Wrapped, error) {
	if err := use.check(); err != nil {
		return Wrapped{}, fmt.Errorf("draw working key: %w: %q", err, string(use))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for range freshTries {
		k, err := h.draw(size)
		if err != nil {
			return Wrapped{}, fmt.Errorf("draw %s key: %w", use, err)
		}
		if h.taken(use, k) {
			continue
		}
		cryptogram, err := h.tmk.EncryptECB(k.m.b[:k.m.n])
		if err != nil {
			return Wrapped{}, fmt.Errorf("wrap %s key: %w", use, err)
		}
		h.working[use].Zeroise()
		h.working[use] = k
		return Wrapped{Use: use, Cryptogram: cryptogram, KCV: k.KCV()}, nil
	}
	return Wrapped{}, fmt.Errorf("draw %s key: %w: %d draws gave keys of other uses", use, ErrUse, freshTries)
}

func (h *Host) draw(size int) (Key, error) {
	if size != 8 && size != 16 && size != 24 {
		return Key{}, fmt.Errorf("%w: %d bytes", ErrKeyLength, size)
	}
	var b [24]byte
	defer Zeroise(b[:])
	if _, err := io.ReadFull(h.rand, b[:size]); err != nil {
		return Key{}, fmt.Errorf("read randomness: %w", err)
	}
	for i := range b[:size] { // odd parity, as DES keys are written
		if bits.OnesCount8(b[i])%2 == 0 {
			b[i] ^= 1
		}
	}
	return NewKey(b[:size])
}

func (h *Host) taken(use Use, k Key) bool {
	for other, held := range h.working {
		if other != use && k.equal(held) {
			return true
		}
	}
	return false
}

// MAC makes the code of an answer with the current MAC key. ErrNoKey,
// ErrAlgorithm.
func (h *Host) MAC(alg MACAlgorithm, data []byte) ([8]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mac, err := macWith(h.working[UseMAC], alg, data)
	if err != nil {
		return [8]byte{}, fmt.Errorf("make MAC: %w", err)
	}
	return mac, nil
}

// VerifyMAC compares in constant time. ErrMAC: it is another one, or not eight
// bytes. ErrNoKey, ErrAlgorithm.
func (h *Host) VerifyMAC(alg MACAlgorithm, data, mac []byte) error {
	want, err := h.MAC(alg, data)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(want[:], mac) != 1 {
		return ErrMAC
	}
	return nil
}

// PIN opens an enciphered block of format 0 with the current PIN key and gives 4
// to 12 ASCII digits, which the caller clears. ErrNoKey, ErrPINBlock, ErrPAN.
func (h *Host) PIN(block [8]byte, pan string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, err := h.working[UsePIN].block()
	if err != nil {
		return nil, fmt.Errorf("open PIN block: %w", err)
	}
	c.Decrypt(block[:], block[:])
	defer Zeroise(block[:])
	pin, err := DecodeFormat0(block, pan)
	if err != nil {
		return nil, fmt.Errorf("open PIN block: %w", err)
	}
	return pin, nil
}
