package acquirer

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"posagent/agent/keys"
	"posagent/agent/payment"
)

// SignInResult is what a sign-in brings besides the working keys.
type SignInResult struct {
	Batch       payment.Batch // the host's, which is the one that counts
	HostTime    time.Time     // zero if the host sent none
	Requirement Requirement
}

// SignIn asks for working keys and installs them through Keys (0800, function
// 00/003). stan is a trace number of the terminal's counter. *RefusedError: the
// host said no. *FieldError in field 62: a key layout that is not understood. An
// error of Keys (a wrong key check value) is wrapped. After any error the
// terminal is not signed in.
func (l *Link) SignIn(ctx context.Context, stan payment.STAN) (SignInResult, error) {
	if err := l.acquire(ctx); err != nil {
		return SignInResult{}, err
	}
	defer l.release()
	f, r, err := l.manage(ctx, txSignIn, "sign-in", stan)
	if err != nil {
		return SignInResult{}, err
	}
	result := SignInResult{Batch: l.batch, HostTime: hostTime(r, l.cfg.Now()), Requirement: l.p.requirement(f.Head)}
	if r.Has(60) {
		batch, ok := batchOf(r)
		if !ok {
			return SignInResult{}, fmt.Errorf("sign in: %w", &FieldError{60, -1, "holds no batch number"})
		}
		result.Batch = batch
	}
	slots, err := cutKeys(r.Bytes(62))
	if err != nil {
		return SignInResult{}, fmt.Errorf("sign in: %w", err)
	}
	for _, s := range slots {
		if err := l.cfg.Keys.InstallWorking(ctx, s.use, s.cryptogram, s.kcv); err != nil {
			return SignInResult{}, fmt.Errorf("sign in: install %s key: %w", s.use, err)
		}
	}
	l.batch = result.Batch
	l.log.Info("signed in", "batch", result.Batch.String(), "keys", len(slots))
	return result, nil
}

// Echo asks the host whether it is there (0820, function 00/301).
func (l *Link) Echo(ctx context.Context, stan payment.STAN) error {
	return l.manageOnly(ctx, txEcho, "echo", stan)
}

// SignOff ends the session at the host (0820, function 00/002). The working keys
// stay in the store.
func (l *Link) SignOff(ctx context.Context, stan payment.STAN) error {
	return l.manageOnly(ctx, txSignOff, "sign-off", stan)
}

func (l *Link) manageOnly(ctx context.Context, name, what string, stan payment.STAN) error {
	if err := l.acquire(ctx); err != nil {
		return err
	}
	defer l.release()
	_, _, err := l.manage(ctx, name, what, stan)
	return err
}

// manage exchanges a message of line management. The caller holds the line.
func (l *Link) manage(ctx context.Context, name, what string, stan payment.STAN) (Frame, *Message, error) {
	id := identity{l.cfg.TerminalID, l.cfg.MerchantID}
	m, err := l.p.network(name, id, stan, l.batch, l.cfg.Operator)
	if err != nil {
		return Frame{}, nil, fmt.Errorf("%w: make %s: %w", ErrNotSent, what, err)
	}
	f, r, err := l.exchange(ctx, asked{m: m, signIn: name == txSignIn})
	if err != nil {
		return Frame{}, nil, err
	}
	if code := payment.ResponseCode(r.Text(39)); code != "00" {
		return Frame{}, nil, &RefusedError{what, code}
	}
	return f, r, nil
}

// keySlot is one working key of field 62.
type keySlot struct {
	use             keys.Use
	cryptogram, kcv []byte
}

// cutKeys takes field 62 of a sign-in answer apart. Its length is its layout
// (UnionPay POS profile): PIN key and MAC key of 8 bytes (24), of 16 (40), and
// with a track key (60), each followed by a check value of 4. A MAC key of 8
// bytes is sent in a slot of 16 with zeros behind. The triple-length layouts (56,
// 84) are refused: no key this terminal holds is of that kind.
func cutKeys(b []byte) ([]keySlot, error) {
	var size int
	uses := []keys.Use{keys.UsePIN, keys.UseMAC}
	switch len(b) {
	case 24:
		size = 8
	case 40:
		size = 16
	case 60:
		size = 16
		uses = append(uses, keys.UseTrack)
	case 56, 84:
		return nil, &FieldError{62, -1, fmt.Sprintf("has the triple-length key layout of %d bytes", len(b))}
	default:
		return nil, &FieldError{62, -1, fmt.Sprintf("has no known key layout of %d bytes", len(b))}
	}
	slots := make([]keySlot, 0, len(uses))
	for _, use := range uses {
		s := keySlot{use, b[:size], b[size : size+keys.KCVSize]}
		if use == keys.UseMAC && size == 16 && bytes.Equal(s.cryptogram[8:], make([]byte, 8)) {
			s.cryptogram = s.cryptogram[:8]
		}
		slots = append(slots, s)
		b = b[size+keys.KCVSize:]
	}
	return slots, nil
}
