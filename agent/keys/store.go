package keys

import "context"

// Use is what a working key is for. The values are names on configuration and
// in the PIN pad's protocol.
type Use string

const (
	UsePIN   Use = "pin"   // enciphers PIN blocks (TPK, PIK)
	UseMAC   Use = "mac"   // makes and checks message authentication codes (TAK, MAK)
	UseTrack Use = "track" // enciphers track data (TDK); held, and used by nothing in this package
)

func (u Use) check() error {
	switch u {
	case UsePIN, UseMAC, UseTrack:
		return nil
	}
	return ErrUse
}

// MACAlgorithm names how a MAC is made.
type MACAlgorithm string

const (
	// MACCUPECB is UnionPay's "ECB" algorithm: eight upper-case hexadecimal
	// characters. Key of 8, 16 or 24 bytes.
	MACCUPECB MACAlgorithm = "cup-ecb"
	// MACX919 is ANSI X9.19: ISO/IEC 9797-1 algorithm 3, padding method 1, all
	// eight bytes. Key of 16 bytes.
	MACX919 MACAlgorithm = "x9.19"
)

// Store is where working keys live: the secure PIN pad of a terminal, or
// Software. No method returns a key.
type Store interface {
	// InstallWorking deciphers the cryptogram (ECB under the TMK), compares the
	// key check value in constant time and replaces the key of this use. On any
	// error the old key stays. ErrKCV: the values differ. ErrUse: no such use, or
	// the key serves another use already. ErrKeyLength: not 8, 16 or 24 bytes.
	InstallWorking(ctx context.Context, use Use, cryptogram, kcv []byte) error
	// MAC makes the code over data, of any length, with the MAC key. ErrNoKey: none
	// is installed.
	MAC(ctx context.Context, alg MACAlgorithm, data []byte) ([8]byte, error)
}

// Fault is the type of this package's sentinel errors. KeyFault lets a package
// that may not import this one (a simulated device) tell them apart.
type Fault struct{ code, text string }

func (f *Fault) Error() string { return "keys: " + f.text }

// KeyFault is a short stable name: "kcv", "no-key", "use", "algorithm",
// "key-length", "pin", "pin-block", "pan", "mac".
func (f *Fault) KeyFault() string { return f.code }

// Sentinels. None carries a secret.
var (
	ErrKCV       error = &Fault{"kcv", "key check value does not match"}
	ErrNoKey     error = &Fault{"no-key", "no key installed for this use"}
	ErrUse       error = &Fault{"use", "key use refused"}
	ErrAlgorithm error = &Fault{"algorithm", "unknown MAC algorithm"}
	ErrKeyLength error = &Fault{"key-length", "wrong key length"}
	ErrPIN       error = &Fault{"pin", "PIN is not 4 to 12 digits"}
	ErrPINBlock  error = &Fault{"pin-block", "not a PIN block of format 0"}
	ErrPAN       error = &Fault{"pan", "card number is not 12 to 19 digits"}
	ErrMAC       error = &Fault{"mac", "MAC does not match"}
)
