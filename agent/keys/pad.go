package keys

import (
	"context"
	"errors"
	"fmt"
)

// Pad is a secure PIN pad as its driver offers it, in plain types: use is "pin",
// "mac" or "track", alg is "cup-ecb" or "x9.19". Its errors are told apart by a
// method KeyFault() string: "no-key", "kcv", "use".
type Pad interface {
	LoadWorkingKey(ctx context.Context, use string, cryptogram, kcv []byte) error
	MAC(ctx context.Context, alg string, data []byte) ([8]byte, error)
}

// OnPad is the Store of a terminal: every key is in the pad. The errors of the
// pad's keys become ErrNoKey, ErrKCV and ErrUse; all others stay the pad's.
func OnPad(p Pad) Store { return padStore{p} }

type padStore struct{ pad Pad }

func (s padStore) InstallWorking(ctx context.Context, use Use, cryptogram, kcv []byte) error {
	if err := use.check(); err != nil {
		return fmt.Errorf("install working key: %w: %q", err, string(use))
	}
	return ours(s.pad.LoadWorkingKey(ctx, string(use), cryptogram, kcv))
}

func (s padStore) MAC(ctx context.Context, alg MACAlgorithm, data []byte) ([8]byte, error) {
	mac, err := s.pad.MAC(ctx, string(alg), data)
	return mac, ours(err)
}

// ours adds this package's sentinel to an error of the pad's keys.
func ours(err error) error {
	var fault interface{ KeyFault() string }
	if !errors.As(err, &fault) {
		return err
	}
	for _, sentinel := range []error{ErrNoKey, ErrKCV, ErrUse} {
		if sentinel.(*Fault).code == fault.KeyFault() && !errors.Is(err, sentinel) {
			return fmt.Errorf("%w: %w", sentinel, err)
		}
	}
	return err
}
