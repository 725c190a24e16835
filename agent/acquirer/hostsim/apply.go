package hostsim

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"posagent/agent/acquirer"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

// Response codes that the host gives on its own account (UnionPay POS profile).
const (
	codeApproved     = "00"
	codeBadMerchant  = "03"
	codeCryptogram   = "05"
	codeInvalid      = "12"
	codeNoOriginal   = "25"
	codeFormat       = "30"
	codeWrongPIN     = "55"
	codeOtherAmount  = "64"
	codeBatch        = "77"
	codeRepeated     = "94"
	codeSwitch       = "96"
	codeUnregistered = "97"
	codePINFormat    = "99"
	codeBadMAC       = "A0"
)

// answered is what a financial request was told, to be told again.
type answered struct {
	print [sha256.Size]byte // of the request
	m     *acquirer.Message
}

// inbound is one request as the host works on it.
type inbound struct {
	Request
	m     *acquirer.Message
	body  []byte
	known bool // meaning found in the profile
	mac   bool // the profile wants field 64
	t     *terminal
}

func (in *inbound) key() key { return key{in.Terminal, in.Batch, in.STAN} }

// open reads what a script and the books need. The caller holds the lock.
func (h *Host) open(m *acquirer.Message, body []byte) *inbound {
	in := &inbound{m: m, body: body}
	meaning, known := h.p.Meaning(m)
	in.known, in.mac = known, meaning.MAC
	in.Request = Request{
		MTI: m.MTI(), Transaction: meaning.Transaction, Reversal: meaning.Reversal,
		Terminal: payment.TerminalID(m.Text(41)), Merchant: payment.MerchantID(m.Text(42)),
		STAN: payment.STAN(decimal(m.Text(11))), Amount: payment.Amount(decimal(m.Text(4))),
		EntryMode: m.Text(22), HasPIN: m.Has(52), HasICC: m.Has(55),
	}
	if f60 := m.Text(60); len(f60) >= 8 {
		in.Batch = payment.Batch(decimal(f60[2:8]))
	}
	if pan, err := payment.NewPAN(m.Text(2)); err == nil {
		in.PAN = pan
	} else if track, err := payment.NewTrack2(m.Text(35)); err == nil {
		in.PAN = track.PAN()
	}
	in.t = h.terminals[in.Terminal]
	return in
}

// decimal reads up to twelve digits that the codec has already checked; zero if
// there are none.
func decimal(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// answer works on a request and gives what to say, and the entry that it has
// changed. The caller holds the lock.
func (h *Host) answer(in *inbound, a Action) (reply *acquirer.Message, changed *Entry, err error) {
	if code := h.refuse(in); code != "" {
		reply, err = h.reply(in, code)
		return reply, nil, err
	}
	switch {
	case in.Transaction == "sign_in":
		reply, err = h.signIn(in, a)
	case !in.mac:
		reply, err = h.reply(in, verdict(a))
	case in.Reversal:
		return h.reverse(in, a)
	default:
		return h.financial(in, a)
	}
	return reply, nil, err
}

func verdict(a Action) payment.ResponseCode {
	if a.Kind == Decline {
		return a.Code
	}
	return codeApproved
}

// refuse gives the code for a request that is not even looked at; empty if it is.
func (h *Host) refuse(in *inbound) payment.ResponseCode {
	switch {
	case in.t == nil:
		return codeUnregistered
	case h.cfg.Merchants != nil && h.cfg.Merchants[in.Terminal] != in.Merchant:
		return codeBadMerchant
	case !in.known || in.STAN == 0 || in.Batch == 0:
		return codeFormat
	case !in.mac:
		return ""
	case !in.t.signedIn || !in.m.Has(64):
		return codeBadMAC
	}
	end := len(in.body) - 8
	if err := in.t.keys.VerifyMAC(h.p.MACAlgorithm(), in.body[:end], in.body[end:]); err != nil {
		return codeBadMAC
	}
	if !in.Reversal && in.Batch != in.t.batch {
		return codeBatch
	}
	return ""
}

func (h *Host) financial(in *inbound, a Action) (*acquirer.Message, *Entry, error) {
	print := fingerprint(in.m)
	if before := h.answers[in.key()]; before != nil {
		if before.print != print {
			reply, err := h.reply(in, codeRepeated)
			return reply, nil, err
		}
		h.ledger[h.index[in.key()]].Repeats++
		return before.m, nil, nil
	}
	if h.unknown[in.key()] {
		reply, err := h.reply(in, codeRepeated)
		return reply, nil, err
	}
	code, icc := h.judge(in, verdict(a))
	reply, err := h.reply(in, code)
	if err != nil {
		return nil, nil, err
	}
	if icc != nil {
		if err := reply.SetBytes(55, icc); err != nil {
			return nil, nil, err
		}
	}
	h.answers[in.key()] = &answered{print, reply}
	e := h.book(in, reply)
	if e.State != Applied {
		return reply, nil, nil
	}
	return reply, &e, nil
}

// fingerprint tells a repeated request from another one under the same number.
// The MAC is left out: working keys may have changed between the two.
func fingerprint(m *acquirer.Message) [sha256.Size]byte {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s;", m.MTI())
	for _, id := range m.Fields() {
		if id != 64 {
			fmt.Fprintf(hash, "%d:%q;", id, m.Text(id))
		}
	}
	return [sha256.Size]byte(hash.Sum(nil))
}

// judge checks PIN, cryptogram and original, and gives the code and the answer's
// chip data.
func (h *Host) judge(in *inbound, code payment.ResponseCode) (payment.ResponseCode, []byte) {
	if code.Approved() && in.HasPIN {
		code = h.checkPIN(in, code)
	}
	if code.Approved() && in.Transaction == string(payment.Void) {
		code = h.checkOriginal(in, code)
	}
	if !in.HasICC || h.cfg.Issuer == nil {
		return code, nil
	}
	icc, ok, err := h.cfg.Issuer.Authorise(in.PAN.Reveal(), in.m.Text(23), in.m.Bytes(55), [2]byte{code[0], code[1]})
	switch {
	case err != nil:
		h.log.Warn("issuer failed", "stan", in.STAN.String(), "err", err)
		return codeSwitch, nil
	case !ok:
		return codeCryptogram, nil
	}
	return code, icc
}

func (h *Host) checkPIN(in *inbound, code payment.ResponseCode) payment.ResponseCode {
	pin, err := in.t.keys.PIN([8]byte(in.m.Bytes(52)), in.PAN.Reveal())
	if err != nil {
		return codePINFormat
	}
	defer keys.Zeroise(pin)
	want, listed := h.cfg.PINs[in.PAN.Reveal()]
	if listed && subtle.ConstantTimeCompare(pin, []byte(want)) != 1 {
		return codeWrongPIN
	}
	return code
}

// original reads field 61 of a request about another one.
func (in *inbound) original() key {
	f61 := in.m.Text(61)
	if len(f61) < 12 {
		return key{}
	}
	return key{in.Terminal, payment.Batch(decimal(f61[:6])), payment.STAN(decimal(f61[6:12]))}
}

func (h *Host) checkOriginal(in *inbound, code payment.ResponseCode) payment.ResponseCode {
	at, ok := h.index[in.original()]
	switch {
	case !ok:
		return codeNoOriginal
	case h.ledger[at].State != Applied:
		return codeInvalid
	case h.ledger[at].Amount != in.Amount:
		return codeOtherAmount
	}
	return code
}

// book enters a financial request and, for a void, turns its original.
func (h *Host) book(in *inbound, reply *acquirer.Message) Entry {
	e := Entry{
		Terminal: in.Terminal, Merchant: in.Merchant, Batch: in.Batch, STAN: in.STAN, MTI: in.MTI,
		Type: payment.Type(in.Transaction), Amount: in.Amount, PAN: in.PAN.Masked(),
		RRN: payment.RRN(reply.Text(37)), AuthCode: payment.AuthCode(reply.Text(38)),
		Code: payment.ResponseCode(reply.Text(39)), State: Declined, At: h.cfg.Now(),
	}
	if e.Code.Approved() {
		e.State = Applied
	}
	h.enter(in.key(), e)
	if e.State == Applied && e.Type == payment.Void {
		h.voids[in.key()] = in.original()
		h.turn(in.original(), Voided, "")
	}
	return e
}

// reverse undoes an original (UnionPay POS profile: 00 undone, 25 no original).
func (h *Host) reverse(in *inbound, a Action) (*acquirer.Message, *Entry, error) {
	code := verdict(a)
	at, found := h.index[in.key()]
	switch {
	case !code.Approved():
	case !found:
		code = codeNoOriginal
		h.unknown[in.key()] = true
	case h.ledger[at].Amount != in.Amount || string(h.ledger[at].Type) != in.Transaction:
		code = codeOtherAmount
	case h.ledger[at].State == Voided:
		code = codeInvalid
	}
	reply, err := h.reply(in, code)
	if err != nil || !code.Approved() || h.ledger[at].State != Applied {
		return reply, nil, err
	}
	e := h.turn(in.key(), Reversed, payment.Reason(in.m.Text(39)))
	if original, ok := h.voids[in.key()]; ok {
		delete(h.voids, in.key())
		h.turn(original, Applied, "")
	}
	return reply, &e, nil
}

// echoed are the fields that an answer repeats.
var echoed = []uint8{2, 3, 4, 11, 25, 41, 42, 49, 60}

// reply makes an answer without MAC.
func (h *Host) reply(in *inbound, code payment.ResponseCode) (*acquirer.Message, error) {
	m := h.p.New(acquirer.AnswerType(in.MTI))
	values := make(map[uint8]string)
	for _, id := range echoed {
		if in.m.Has(id) {
			values[id] = in.m.Text(id)
		}
	}
	now := h.cfg.Now()
	values[12], values[13], values[39] = now.Format("150405"), now.Format("0102"), string(code)
	if in.mac {
		h.sequence++
		values[15] = now.Format("0102")
		values[37] = fmt.Sprintf("%s%06d", now.Format("150405"), h.sequence%1_000_000)
		values[44] = fmt.Sprintf("%-11s%-11s", "01020000", "48020000")
		values[63] = "CUP" + h.text()
	}
	if in.mac && code.Approved() && !in.Reversal {
		values[38] = fmt.Sprintf("%06d", h.sequence%1_000_000)
	}
	if in.Transaction == string(payment.BalanceInquiry) && code.Approved() {
		values[54] = "1002156C000000100000" // savings, available, CNY, credit, 1000.00
	}
	for id, v := range values {
		if err := m.Set(id, v); err != nil {
			return nil, fmt.Errorf("make answer: %w", err)
		}
	}
	return m, nil
}

func (h *Host) text() string {
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(h.cfg.Text)
	if err != nil {
		return strings.Map(func(r rune) rune { return min(r, '?') }, h.cfg.Text)
	}
	return gbk
}

// signIn gives fresh working keys in field 62 and the batch in field 60. The
// batch of the first sign-in is the terminal's, from then on the host's counts.
func (h *Host) signIn(in *inbound, a Action) (*acquirer.Message, error) {
	reply, err := h.reply(in, verdict(a))
	if err != nil || a.Kind == Decline {
		return reply, err
	}
	pinSize, macSize := 16, 8
	if h.cfg.KeyLayout == 24 {
		pinSize = 8
	}
	if h.p.MACAlgorithm() == keys.MACX919 && h.cfg.KeyLayout != 24 {
		macSize = 16
	}
	var f62 []byte
	for _, slot := range []struct {
		use  keys.Use
		size int
	}{{keys.UsePIN, pinSize}, {keys.UseMAC, macSize}, {keys.UseTrack, 16}} {
		if slot.use == keys.UseTrack && h.cfg.KeyLayout != 60 {
			break
		}
		w, err := in.t.keys.Fresh(slot.use, slot.size)
		if err != nil {
			return nil, fmt.Errorf("sign in terminal %s: %w", in.Terminal, err)
		}
		f62 = append(f62, w.Cryptogram...)
		f62 = append(f62, make([]byte, pinSize-slot.size)...) // a short MAC key has zeros behind
		f62 = append(f62, w.KCV[:]...)
	}
	if in.t.batch == 0 {
		in.t.batch = in.Batch
	}
	in.t.signedIn = true
	f60 := in.m.Text(60)
	if err := reply.Set(60, f60[:2]+in.t.batch.String()+f60[8:]); err != nil {
		return nil, err
	}
	return reply, reply.SetBytes(62, f62)
}
