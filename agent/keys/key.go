package keys

import (
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
)

// KCVSize is how many bytes of key check value the profile sends.
const KCVSize = 4

// Bounds of a key check value that is compared: three bytes is the shortest in
// use (24 bits), eight is the whole enciphered zero block.
const (
	minKCV = 3
	maxKCV = 8
)

// Key is a DES, double-length or triple-length TDES key. It prints only its key
// check value. A copy of a Key is the same key: zeroising one zeroises both.
type Key struct{ m *material }

// material keeps the bytes two pointers away from a Key: with a verb that does not
// fit, fmt prints what the first pointer shows, and of the second its address.
type material struct {
	b *[24]byte
	n uint8 // 8, 16 or 24; 0 after Zeroise
}

// NewKey copies 8, 16 or 24 bytes; the caller clears its own. Parity bits are
// taken as they come: many hosts do not set them.
func NewKey(b []byte) (Key, error) {
	switch len(b) {
	case 8, 16, 24:
	default:
		return Key{}, fmt.Errorf("%w: %d bytes", ErrKeyLength, len(b))
	}
	m := &material{b: new([24]byte), n: uint8(len(b))}
	copy(m.b[:], b)
	return Key{m}, nil
}

// IsZero reports whether there is no key: never set, or zeroised.
func (k Key) IsZero() bool { return k.m == nil || k.m.n == 0 }

// Size is the length in bytes: 8, 16, 24, or 0 for no key.
func (k Key) Size() int {
	if k.m == nil {
		return 0
	}
	return int(k.m.n)
}

// Zeroise clears the key in every copy of this Key.
func (k Key) Zeroise() {
	if k.m != nil {
		Zeroise(k.m.b[:])
		k.m.n = 0
	}
}

// Zeroise clears b in a way the compiler does not remove.
func Zeroise(b []byte) {
	clear(b)
	runtime.KeepAlive(b)
}

// block gives the cipher: EDE with K1 K2 K3, K1 K2 K1, or plain DES as K1 K1 K1.
func (k Key) block() (cipher.Block, error) {
	if k.IsZero() {
		return nil, ErrNoKey
	}
	var full [24]byte
	defer Zeroise(full[:])
	copy(full[:], k.m.b[:])
	switch k.m.n {
	case 8:
		copy(full[8:16], k.m.b[:8])
		copy(full[16:], k.m.b[:8])
	case 16:
		copy(full[16:], k.m.b[:8])
	}
	c, err := des.NewTripleDESCipher(full[:])
	if err != nil {
		return nil, fmt.Errorf("set up DES: %w", err)
	}
	return c, nil
}

// half gives one eight-byte part as a DES key: 0, 1 or 2.
func (k Key) half(i int) (cipher.Block, error) {
	c, err := des.NewCipher(k.m.b[8*i : 8*i+8])
	if err != nil {
		return nil, fmt.Errorf("set up DES: %w", err)
	}
	return c, nil
}

// EncryptECB enciphers a whole number of eight-byte blocks.
func (k Key) EncryptECB(data []byte) ([]byte, error) { return k.ecb(data, cipher.Block.Encrypt) }

// DecryptECB deciphers a whole number of eight-byte blocks.
func (k Key) DecryptECB(data []byte) ([]byte, error) { return k.ecb(data, cipher.Block.Decrypt) }

func (k Key) ecb(data []byte, step func(c cipher.Block, dst, src []byte)) ([]byte, error) {
	c, err := k.block()
	if err != nil {
		return nil, err
	}
	if len(data)%des.BlockSize != 0 {
		return nil, fmt.Errorf("keys: ECB data of %d bytes is not whole blocks", len(data))
	}
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += des.BlockSize {
		step(c, out[i:i+des.BlockSize], data[i:i+des.BlockSize])
	}
	return out, nil
}

// KCV is the key check value: the first four bytes of eight enciphered zero
// bytes. All zero for no key.
func (k Key) KCV() (v [KCVSize]byte) {
	full := k.zeroBlock()
	copy(v[:], full[:])
	return v
}

func (k Key) zeroBlock() (full [8]byte) {
	if c, err := k.block(); err == nil {
		c.Encrypt(full[:], full[:])
	}
	return full
}

// checkKCV compares three to eight bytes of key check value in constant time.
func (k Key) checkKCV(kcv []byte) error {
	if len(kcv) < minKCV || len(kcv) > maxKCV {
		return fmt.Errorf("%w: %d bytes given, %d to %d wanted", ErrKCV, len(kcv), minKCV, maxKCV)
	}
	full := k.zeroBlock()
	if subtle.ConstantTimeCompare(full[:len(kcv)], kcv) != 1 {
		return ErrKCV
	}
	return nil
}

// equal reports whether both are the same key, in constant time.
func (k Key) equal(o Key) bool {
	if k.IsZero() || o.IsZero() {
		return false
	}
	return k.m.n == o.m.n && subtle.ConstantTimeCompare(k.m.b[:], o.m.b[:]) == 1
}

func (k Key) masked() string {
	if k.IsZero() {
		return "[no key]"
	}
	return fmt.Sprintf("[key KCV %X]", k.KCV())
}

func (k Key) String() string               { return k.masked() }
func (k Key) GoString() string             { return k.masked() }
func (k Key) Format(s fmt.State, _ rune)   { fmt.Fprint(s, k.masked()) }
func (k Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.masked()) }
func (k Key) LogValue() slog.Value         { return slog.StringValue(k.masked()) }
