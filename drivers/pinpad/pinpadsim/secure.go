package pinpadsim

import (
	"context"
	"errors"

	"posagent/drivers/pinpad/internal/wire"
)

// Secure is the pad's secure module: it alone holds keys.
//
// Errors are told apart by a method KeyFault() string on the error or on one
// that it wraps: "no-key", "kcv", "use". Any other error is a failure inside.
type Secure interface {
	// InstallWorking deciphers a key under the master key, compares its check
	// value and keeps it for this use.
	InstallWorking(ctx context.Context, use string, cryptogram, kcv []byte) error
	// MAC makes the code over data.
	MAC(ctx context.Context, alg string, data []byte) ([8]byte, error)
	// PINBlock enciphers an ISO 9564-1 format 0 block. pin is ASCII digits, which
	// the pad clears afterwards.
	PINBlock(ctx context.Context, pin []byte, pan string) ([8]byte, error)
	// Slots gives the check values of the keys held, by use.
	Slots() map[string][4]byte
	// Wipe forgets every key.
	Wipe()
}

// blank is the module of a pad without keys.
type blank struct{}

// noKey is its only error.
type noKey struct{}

func (noKey) Error() string    { return "pinpadsim: no keys in this pad" }
func (noKey) KeyFault() string { return "no-key" }

func (blank) InstallWorking(context.Context, string, []byte, []byte) error    { return noKey{} }
func (blank) MAC(context.Context, string, []byte) (mac [8]byte, err error)    { return mac, noKey{} }
func (blank) PINBlock(context.Context, []byte, string) (b [8]byte, err error) { return b, noKey{} }
func (blank) Slots() map[string][4]byte                                       { return nil }
func (blank) Wipe()                                                           {}

// status is the wire's word for an error of the module.
func status(err error) wire.Status {
	if err == nil {
		return wire.OK
	}
	var fault interface{ KeyFault() string }
	if errors.As(err, &fault) {
		switch fault.KeyFault() {
		case "no-key":
			return wire.NoKey
		case "kcv":
			return wire.BadKCV
		case "use":
			return wire.BadUse
		case "algorithm", "key-length", "pan":
			return wire.Malformed
		}
	}
	return wire.Failed
}
