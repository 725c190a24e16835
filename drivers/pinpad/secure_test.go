package pinpad_test

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/des"
	"sync"
)

// fault is an error of the module, as pinpadsim tells them apart.
type fault string

func (f fault) Error() string    { return "module: " + string(f) }
func (f fault) KeyFault() string { return string(f) }

// module is a secure module of its own, so that nothing here depends on the
// terminal's: TDES keys of 16 bytes, PIN blocks of format 0, and a CBC-MAC called
// "cbc".
type module struct {
	mu   sync.Mutex // guards keys
	keys map[string][]byte
}

var (
	testTMK = []byte("test master key!")
	testPIK = []byte("test PIN key 16!")
	testMAK = []byte("test MAC key 16!")
)

func newModule() *module { return &module{keys: map[string][]byte{"tmk": testTMK}} }

func tdes(key []byte) cipher.Block {
	c, err := des.NewTripleDESCipher(append(bytes.Clone(key), key[:8]...))
	if err != nil {
		panic(err)
	}
	return c
}

// wrap gives a key under the TMK and its check value.
func wrap(key []byte) (cryptogram, kcv []byte) {
	cryptogram, kcv = make([]byte, 16), make([]byte, 8)
	c := tdes(testTMK)
	c.Encrypt(cryptogram[:8], key[:8])
	c.Encrypt(cryptogram[8:], key[8:])
	tdes(key).Encrypt(kcv, kcv)
	return cryptogram, kcv[:4]
}

func (m *module) InstallWorking(_ context.Context, use string, cryptogram, kcv []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	tmk, ok := m.keys["tmk"]
	if !ok {
		return fault("no-key")
	}
	if use != "pin" && use != "mac" {
		return fault("use")
	}
	if len(cryptogram) != 16 {
		return fault("key-length")
	}
	key, check := make([]byte, 16), make([]byte, 8)
	tdes(tmk).Decrypt(key[:8], cryptogram[:8])
	tdes(tmk).Decrypt(key[8:], cryptogram[8:])
	tdes(key).Encrypt(check, check)
	if !bytes.Equal(check[:4], kcv) {
		return fault("kcv")
	}
	m.keys[use] = key
	return nil
}

func cbcMAC(key, data []byte) (mac [8]byte) {
	c := tdes(key)
	for i := 0; i < len(data); i += 8 {
		for j, b := range data[i:min(i+8, len(data))] {
			mac[j] ^= b
		}
		c.Encrypt(mac[:], mac[:])
	}
	return mac
}

func (m *module) MAC(_ context.Context, alg string, data []byte) (mac [8]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.keys["mac"]
	if !ok {
		return mac, fault("no-key")
	}
	if alg != "cbc" {
		return mac, fault("algorithm")
	}
	return cbcMAC(key, data), nil
}

// nibbles is a PIN block of format 0 before enciphering, by ISO 9564-1.
func format0(pin, pan string) (block [8]byte) {
	set := func(at int, v byte) { block[at/2] ^= v << (4 * (1 - uint(at)%2)) }
	set(1, byte(len(pin)))
	for i := range 14 {
		v := byte(0xF)
		if i < len(pin) {
			v = pin[i] - '0'
		}
		set(2+i, v)
	}
	account := pan[len(pan)-13 : len(pan)-1]
	for i := range account {
		set(4+i, account[i]-'0')
	}
	return block
}

func (m *module) PINBlock(_ context.Context, pin []byte, pan string) (block [8]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, ok := m.keys["pin"]
	if !ok {
		return block, fault("no-key")
	}
	block = format0(string(pin), pan)
	tdes(key).Encrypt(block[:], block[:])
	return block, nil
}

func (m *module) Slots() map[string][4]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	slots := make(map[string][4]byte)
	for use, key := range m.keys {
		var check [8]byte
		tdes(key).Encrypt(check[:], check[:])
		slots[use] = [4]byte(check[:4])
	}
	return slots
}

func (m *module) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.keys)
}
