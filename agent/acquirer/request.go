package acquirer

import (
	"fmt"
	"strings"

	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// identity is who speaks: fields 41 and 42.
type identity struct {
	terminal payment.TerminalID
	merchant payment.MerchantID
}

// financial makes the request message of r.
func (p *Profile) financial(r payment.Request) (*Message, error) {
	tx := p.tx[string(r.Type)]
	if tx == nil {
		return nil, fmt.Errorf("the profile %s has no %q", p.name, r.Type)
	}
	return p.fill(p.New(tx.MTI), tx, tx.Fields, payment.Reversal{Request: r})
}

// reverse makes the reversal message of rev: the original's fields without
// track, PIN and reference number, and the reason.
func (p *Profile) reverse(rev payment.Reversal) (*Message, error) {
	tx := p.tx[string(rev.Request.Type)]
	if tx == nil || tx.Reversal == "" {
		return nil, fmt.Errorf("the profile %s has no reversal of %q", p.name, rev.Request.Type)
	}
	switch rev.Reason {
	case payment.ReasonNoReply, payment.ReasonBadMAC, payment.ReasonOther:
	default:
		return nil, fmt.Errorf("reversal reason %q is unknown", rev.Reason)
	}
	return p.fill(p.New(tx.Reversal), tx, p.reversal, rev)
}

func (p *Profile) fill(m *Message, tx *transaction, ids []uint8, rev payment.Reversal) (*Message, error) {
	for _, id := range ids {
		if id == macField && !tx.MAC {
			continue
		}
		value, err := p.value(id, m.MTI() == tx.Reversal, tx, rev)
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", id, err)
		}
		if value == "" {
			continue
		}
		if err := m.Set(id, value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// value gives the characters of one field, or none if this request has none.
func (p *Profile) value(id uint8, reversal bool, tx *transaction, rev payment.Reversal) (string, error) {
	r := rev.Request
	switch id {
	case 2:
		if r.PAN.IsZero() && r.Track2.IsZero() {
			return "", fmt.Errorf("no card number and no track")
		}
		return r.PAN.Reveal(), nil
	case 3:
		return tx.Processing, nil
	case 4:
		if r.Amount <= 0 {
			return "", fmt.Errorf("%w: must be more than zero", payment.ErrAmount)
		}
		return r.Amount.Digits12()
	case 11:
		return number(uint32(r.STAN), "trace number")
	case 14:
		return r.Expiry, nil
	case 22:
		return p.entryCode(r)
	case 23:
		return r.PANSequence, nil
	case 25:
		return tx.Condition, nil
	case 35:
		return r.Track2.Reveal(), nil
	case 26, 52, 53:
		return p.pinField(id, r), nil
	case 38:
		if reversal {
			return string(rev.AuthCode), nil
		}
		return original(id, r.Original)
	case 39:
		return string(rev.Reason), nil
	case 41:
		return string(r.TerminalID), nil
	case 42:
		return string(r.MerchantID), nil
	case 49:
		if !digits(r.Currency.Numeric, 3) {
			return "", fmt.Errorf("currency %q is not three digits", r.Currency.Numeric)
		}
		return r.Currency.Numeric, nil
	case 55:
		if reversal {
			return p.reversalICC(r.ICC)
		}
		return string(r.ICC), nil
	case 60:
		batch, err := number(uint32(r.Batch), "batch number")
		return strings.Replace(tx.F60, batchMark, batch, 1), err
	case 37, 61:
		return original(id, r.Original)
	case macField:
		return string(make([]byte, macSize)), nil
	}
	return "", fmt.Errorf("nothing in a request fills it")
}

func number(n uint32, what string) (string, error) {
	if n == 0 || n > uint32(payment.MaxSTAN) {
		return "", fmt.Errorf("%w: %s %d is not 1 to 999999", payment.ErrID, what, n)
	}
	return fmt.Sprintf("%06d", n), nil
}

// entryCode is field 22: how the card was read, and 1 or 2 for with or without
// a PIN. A reversal repeats the original's field and has no PIN block any more;
// the chip's own account of the cardholder verification then tells.
func (p *Profile) entryCode(r payment.Request) (string, error) {
	code, ok := p.entry[r.Entry]
	if !ok {
		return "", fmt.Errorf("entry mode %q is not in the profile", r.Entry)
	}
	if r.PINBlock.IsZero() && !onlinePIN(r.ICC) {
		return code + "2", nil
	}
	return code + "1", nil
}

// onlinePIN reports whether the CVM results in icc say "enciphered PIN verified
// online" (EMV 4.4 Book 4, A4; Book 3, C3: method 000010, bit 7 is no part of it).
func onlinePIN(icc []byte) bool {
	const cvmResults = 0x9F34
	results, ok := tlv.Find(icc, cvmResults)
	return ok && len(results) == 3 && results[0]&0x3F == 2
}

func (p *Profile) pinField(id uint8, r payment.Request) string {
	switch {
	case r.PINBlock.IsZero():
		return ""
	case id == 26:
		return p.pin.Capture
	case id == 53:
		return p.pin.Security
	}
	return string(r.PINBlock.Reveal())
}

// original gives fields 37, 38 and 61 of a transaction about another one.
func original(id uint8, o *payment.Original) (string, error) {
	switch {
	case o == nil:
		return "", nil
	case id == 37:
		return string(o.RRN), nil
	case id == 38:
		return string(o.AuthCode), nil
	}
	batch, err := number(uint32(o.Batch), "original batch number")
	if err != nil {
		return "", err
	}
	stan, err := number(uint32(o.STAN), "original trace number")
	if err != nil {
		return "", err
	}
	if !digits(o.Date, 4) {
		return "", fmt.Errorf("original date is not MMDD")
	}
	return batch + stan + o.Date, nil
}

// maxICCObjects bounds the walk over a request's chip data: field 55 has 255
// bytes and an object at least two.
const maxICCObjects = 128

// reversalICC keeps of the original's chip data what a reversal may carry.
func (p *Profile) reversalICC(icc []byte) (string, error) {
	var kept []byte
	for range maxICCObjects {
		if len(icc) == 0 {
			return string(kept), nil
		}
		o, rest, err := tlv.Next(icc)
		if err != nil {
			return "", fmt.Errorf("chip data: %w", err)
		}
		if oneOf(o.Tag.String(), p.icc...) {
			kept = tlv.Append(kept, o.Tag, o.Value)
		}
		icc = rest
	}
	return "", fmt.Errorf("chip data: more than %d objects", maxICCObjects)
}

// network makes a sign-in, echo or sign-off. operator is two digits.
func (p *Profile) network(name string, id identity, stan payment.STAN, batch payment.Batch, operator string) (*Message, error) {
	tx := p.tx[name]
	m := p.New(tx.MTI)
	trace, err := number(uint32(stan), "trace number")
	if err != nil {
		return nil, err
	}
	values := map[uint8]string{
		11: trace, 41: string(id.terminal), 42: string(id.merchant),
		60: strings.Replace(tx.F60, batchMark, batch.String(), 1),
		63: operator + " ", // field 63.1: three characters
	}
	for _, f := range tx.Fields {
		if err := m.Set(f, values[f]); err != nil {
			return nil, err
		}
	}
	return m, nil
}
