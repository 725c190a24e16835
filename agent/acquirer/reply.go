package acquirer

import (
	"context"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"
	"time"

	"posagent/agent/payment"
)

// Requirement is what the host asks of the terminal in the header of an answer.
type Requirement uint8

// Processing requirements of the UnionPay POS header.
const (
	RequireNothing       Requirement = 0
	RequireParameters    Requirement = 1 // download parameters
	RequireStatus        Requirement = 2 // upload status
	RequireSignIn        Requirement = 3 // sign in again
	RequireCAPK          Requirement = 4 // update the IC public keys
	RequireICCParameters Requirement = 5 // update the IC parameters
	RequireTMS           Requirement = 6 // call the terminal management system
)

// requirement reads the low nibble of the header byte that the profile names.
func (p *Profile) requirement(head [headSize]byte) Requirement {
	return Requirement(head[p.reqByte-1] & 0x0F)
}

// AnswerType is the message type of the answer to a request of four digits: its
// third digit plus one, 0210 for 0200.
func AnswerType(mti string) string { return mti[:2] + string(mti[2]+1) + mti[3:] }

// asked is a request that waits for its answer.
type asked struct {
	m        *Message
	tpdu     [tpduSize]byte
	mac      bool // the transaction is MACed
	reversal bool
	signIn   bool // the answer may name another batch
}

// foreign says why r is not the answer to a; empty if it is. The MAC is judged
// elsewhere, because a wrong one on an answer that matches has a meaning.
func (p *Profile) foreign(a asked, f Frame, r *Message) string {
	if f.TPDU != swapTPDU(a.tpdu) {
		return "addressed to somebody else"
	}
	if r.MTI() != AnswerType(a.m.MTI()) {
		return "message type " + r.MTI()
	}
	if !r.Has(39) {
		return "field 39 absent"
	}
	for _, id := range p.match {
		if !a.m.Has(id) || id == 4 && r.Text(39) == codePartial {
			continue
		}
		if !r.Has(id) {
			return fmt.Sprintf("field %d absent", id)
		}
		if r.Text(id) != a.m.Text(id) {
			return fmt.Sprintf("field %d differs", id)
		}
	}
	if r.Has(60) && !a.signIn {
		got, _ := batchOf(r)
		want, _ := batchOf(a.m)
		if got != want {
			return "batch differs"
		}
	}
	if r.Has(macField) && !a.mac {
		return "field 64 where none belongs"
	}
	return ""
}

// codePartial approves a part of the amount; field 4 then tells which.
const codePartial = "10"

// batchOf is field 60.2; false if the field is too short for it.
func batchOf(m *Message) (payment.Batch, bool) {
	text := m.Text(60)
	if len(text) < 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(text[2:8], 10, 32)
	return payment.Batch(n), err == nil && n > 0
}

// macRequired: an answer that moves money, or that ends a reversal, counts only
// with a MAC. A decline may come without: a host that cannot check ours has no
// way to make one.
func macRequired(a asked, code payment.ResponseCode) bool {
	return a.mac && (code.Approved() || a.reversal && code.ReversalDone())
}

// checkMAC verifies field 64 if it is there, and that it is where it must be.
func (l *Link) checkMAC(ctx context.Context, a asked, f Frame, r *Message) error {
	if !r.Has(macField) {
		if macRequired(a, payment.ResponseCode(r.Text(39))) {
			return fmt.Errorf("%w: field 64 absent", ErrBadMAC)
		}
		return nil
	}
	end := len(f.Body) - macSize // field 64 is the last there can be
	want, err := l.cfg.Keys.MAC(ctx, l.p.mac, f.Body[:end])
	if err != nil {
		return fmt.Errorf("%w: verify: %w", ErrBadMAC, err)
	}
	if subtle.ConstantTimeCompare(want[:], f.Body[end:]) != 1 {
		return ErrBadMAC
	}
	return nil
}

// response reads a matched answer.
func (l *Link) response(f Frame, r *Message) payment.Response {
	issuer, rest := cut(r.Bytes(44), 11) // field 44: 11 issuer, 11 acquirer
	acquirer, _ := cut(rest, 11)
	org, text := cut(r.Bytes(63), 3) // field 63.1: 3
	return payment.Response{
		Code:      payment.ResponseCode(r.Text(39)),
		RRN:       payment.RRN(strings.TrimSpace(r.Text(37))),
		AuthCode:  payment.AuthCode(strings.TrimSpace(r.Text(38))),
		ICC:       r.Bytes(55),
		HostTime:  hostTime(r, l.cfg.Now()),
		Issuer:    clean(issuer),
		Acquirer:  clean(acquirer),
		CardOrg:   clean(org),
		Text:      clean(text),
		SignAgain: l.p.requirement(f.Head) == RequireSignIn,
	}
}

func cut(b []byte, n int) (head, rest []byte) {
	if len(b) <= n {
		return b, nil
	}
	return b[:n], b[n:]
}

func clean(b []byte) string { return strings.TrimSpace(printable(b)) }

// hostTime joins fields 13 (MMDD) and 12 (hhmmss) in now's zone, in the year that
// brings them nearest to now: an answer of New Year's Eve may come after it. Zero
// if a field is absent or names no time.
func hostTime(r *Message, now time.Time) (nearest time.Time) {
	date, clock := r.Text(13), r.Text(12)
	if date == "" || clock == "" {
		return time.Time{}
	}
	for _, year := range []int{now.Year() - 1, now.Year(), now.Year() + 1} {
		t, err := time.ParseInLocation("20060102150405", fmt.Sprintf("%04d", year)+date+clock, now.Location())
		if err != nil {
			continue // also 29 February in a year that has none
		}
		if nearest.IsZero() || t.Sub(now).Abs() < nearest.Sub(now).Abs() {
			nearest = t
		}
	}
	return nearest
}
