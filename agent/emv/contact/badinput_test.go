package contact_test

import (
	"bytes"
	"context"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/tlv"
)

// answerTo replaces the card's data for the commands that begin with at; the status stays 9000.
func answerTo(at []byte, change func(data []byte) []byte) func(int, []byte, []byte) []byte {
	return func(_ int, capdu, r []byte) []byte {
		if !bytes.HasPrefix(capdu, at) {
			return r
		}
		return append(change(r[:len(r)-2]), 0x90, 0x00)
	}
}

// swapObject replaces the value of one data object of a template, at its top level.
func swapObject(template, tag tlv.Tag, value []byte) func([]byte) []byte {
	return func(data []byte) []byte {
		body, err := tlv.Template(data, template)
		if err != nil {
			return data
		}
		var out []byte
		for len(body) > 0 {
			o, rest, err := tlv.Next(body)
			if err != nil || o.Tag == 0 {
				break
			}
			if body = rest; o.Tag == tag {
				o.Value = value
			}
			out = tlv.Append(out, o.Tag, o.Value)
		}
		return tlv.Append(nil, template, out)
	}
}

func whole(b []byte) func([]byte) []byte { return func([]byte) []byte { return bytes.Clone(b) } }

// TestBadInput: what a card can do wrong at each step ends cleanly, inside the bounds and never with an approval offline.
func TestBadInput(t *testing.T) {
	t.Parallel()
	gpo, main, keys, issuer, icc := []byte{0x80, 0xA8}, []byte{0, 0xB2, 1, 0x14}, []byte{0, 0xB2, 3, 0x14}, []byte{0, 0xB2, 4, 0x14}, []byte{0, 0xB2, 5, 0x14}
	afl := func(list ...byte) func([]byte) []byte { return swapObject(0x77, 0x94, list) }
	cert := func(tag tlv.Tag, n int, fill byte) func([]byte) []byte {
		return swapObject(0x70, tag, bytes.Repeat([]byte{fill}, n))
	}
	end := func(reason emv.Reason) func(emv.Outcome) bool {
		return func(o emv.Outcome) bool { return o.Kind == emv.Terminated && o.Reason == reason }
	}
	ddaFailed := func(o emv.Outcome) bool { return o.Kind == emv.Online && o.TVR.Has(emv.DDAFailed) }
	data := end(emv.ReasonCardData)
	for _, c := range []struct {
		name   string
		change func(int, []byte, []byte) []byte
		want   func(emv.Outcome) bool
	}{
		{"AFL with SFI 0", answerTo(gpo, afl(0x00, 1, 1, 0)), data},
		{"AFL with SFI 31", answerTo(gpo, afl(0xF8, 1, 1, 0)), data},
		{"AFL with low bits of the SFI set", answerTo(gpo, afl(0x0C, 1, 1, 0)), data},
		{"AFL with record 0", answerTo(gpo, afl(0x08, 0, 1, 0)), data},
		{"AFL with record 255, which is not there", answerTo(gpo, afl(0x08, 255, 255, 0)), end(emv.ReasonCardStatus)},
		{"AFL with 255 records", answerTo(gpo, afl(0x08, 1, 255, 0)), data},
		{"AFL backwards", answerTo(gpo, afl(0x08, 2, 1, 0)), data},
		{"AFL of five bytes", answerTo(gpo, afl(0x08, 1, 1, 0, 0x10)), data},
		{"AFL empty", answerTo(gpo, afl()), data},
		{"AFL names the same record twice", answerTo(gpo, afl(0x10, 1, 2, 0, 0x10, 1, 1, 0)), data},
		{"AFL authenticates more than it reads", answerTo(gpo, afl(0x10, 1, 2, 3)), data},
		{"processing options of 64 KiB", answerTo(gpo, whole([]byte{0x77, 0x83, 1, 0, 0})), data},
		{"processing options of nothing", answerTo(gpo, whole(nil)), data},
		{"record of 64 KiB", answerTo(main, whole([]byte{0x70, 0x83, 1, 0, 0})), data},
		{"record of nested templates", answerTo(main, whole(bytes.Repeat([]byte{0x70, 0x7E}, 64))), data},
		{"record that is no template", answerTo(main, whole([]byte{0x5A, 2, 0x12, 0x34})), data},
		{"record with bytes after the template", answerTo(main, func(d []byte) []byte { return append(bytes.Clone(d), 0x5A, 0) }), data},
		{"record with a tag of five bytes", answerTo(main, whole([]byte{0x70, 6, 0x9F, 0x81, 0x81, 0x81, 0x81, 0})), data},
		{"record with an indefinite length", answerTo(main, whole([]byte{0x70, 0x80, 0, 0})), data},
		{"record with the card number twice", answerTo(main, func(d []byte) []byte {
			o, _, _ := tlv.Next(d)
			pan, _ := tlv.Find(d, 0x5A)
			return tlv.Append(nil, 0x70, tlv.Append(bytes.Clone(o.Value), 0x5A, pan))
		}), data},
		{"card number of one byte", answerTo(main, swapObject(0x70, 0x5A, []byte{0x12})), data},
		{"card number of letters", answerTo(main, swapObject(0x70, 0x5A, bytes.Repeat([]byte{0xAA}, 8))), data},
		{"expiration date of two bytes", answerTo(main, swapObject(0x70, 0x5F24, []byte{0x30, 0x12})), data},
		{"CVM list of nine bytes", answerTo(main, swapObject(0x70, 0x8E, make([]byte, 9))), data},
		{"issuer certificate of zeros", answerTo(issuer, cert(0x90, 248, 0)), ddaFailed},
		{"issuer certificate of ones", answerTo(issuer, cert(0x90, 248, 0xFF)), ddaFailed},
		{"issuer certificate of nonsense", answerTo(issuer, cert(0x90, 248, 0x5A)), ddaFailed},
		{"issuer certificate too short", answerTo(issuer, cert(0x90, 247, 0x5A)), ddaFailed},
		{"issuer certificate empty", answerTo(issuer, cert(0x90, 0, 0)), func(o emv.Outcome) bool { return o.Kind != emv.Approve }},
		{"ICC certificate of zeros", answerTo(icc, cert(0x9F46, 176, 0)), ddaFailed},
		{"ICC certificate of nonsense", answerTo(icc, cert(0x9F46, 176, 0x33)), ddaFailed},
		{"ICC certificate longer than its key", answerTo(icc, cert(0x9F46, 177, 0x33)), ddaFailed},
		{"exponent 1", answerTo(keys, swapObject(0x70, 0x9F47, []byte{1})), ddaFailed},
		{"exponent of zeros", answerTo(keys, swapObject(0x70, 0x9F32, []byte{0, 0, 0})), ddaFailed},
		{"CA public key index unknown", answerTo(keys, swapObject(0x70, 0x8F, []byte{0})), ddaFailed},
		{"remainder of another length", answerTo(keys, swapObject(0x70, 0x9F48, make([]byte, 4))), ddaFailed},
		{"signature of zeros", answerTo([]byte{0, 0x88}, swapObject(0x77, 0x9F4B, make([]byte, 144))), ddaFailed},
		{"signature of another length", answerTo([]byte{0, 0x88}, swapObject(0x77, 0x9F4B, make([]byte, 100))), ddaFailed},
		{"signature missing", answerTo([]byte{0, 0x88}, whole([]byte{0x77, 0})), ddaFailed},
		{"signature that is no template", answerTo([]byte{0, 0x88}, whole([]byte{0x9F, 0x4B, 0})), data},
		{"cryptogram of one byte", answerTo([]byte{0x80, 0xAE}, swapObject(0x77, 0x9F26, []byte{1})), data},
		{"cryptogram information of two bytes", answerTo([]byte{0x80, 0xAE}, swapObject(0x77, 0x9F27, []byte{0x40, 0x40})), data},
		{"cryptogram of the reserved type", answerTo([]byte{0x80, 0xAE}, swapObject(0x77, 0x9F27, []byte{0xC0})), end(emv.ReasonCryptogram)},
		{"cryptogram of nothing", answerTo([]byte{0x80, 0xAE}, whole(nil)), data},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tap := &tamper{card: cardsim.Direct(open(t, "approves-offline")), change: c.change}
			_, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind == emv.Approve || !c.want(out) || tap.n > 40 {
				t.Fatalf("%s %q %v %v, TVR %v, %d commands", out.Kind, out.Reason, out.Cause, err, out.TVR, tap.n)
			}
		})
	}
}

// TestStatusAtEveryCommand: each command in turn is refused with each status. No refusal is an approval, and only what EMV
// 4.4 Book 3, 6.3.5 lets a terminal ignore goes on.
func TestStatusAtEveryCommand(t *testing.T) {
	t.Parallel()
	card := open(t, "approves-offline")
	for _, sw := range [][]byte{{0x6F, 0x00}, {0x69, 0x85}, {0x6A, 0x81}, {0x62, 0x83}, {0x63, 0x00}, {0x61, 0x10}, {0x6C, 0x10}} {
		for n := 1; n < 14; n++ {
			card.Reset()
			tap := &tamper{card: cardsim.Direct(card), change: func(i int, _, r []byte) []byte {
				if i == n {
					return bytes.Clone(sw)
				}
				return r
			}}
			_, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind == "" || tap.n > 40 {
				t.Fatalf("%x at command %d: %v %v", sw, n, out.Kind, err)
			}
			if n > 4 && out.Kind == emv.Approve { // after the final selection every command counts
				t.Fatalf("%x at command %d: approved", sw, n)
			}
		}
	}
}

// TestChangingAnswers: what a card says twice, it may say differently; nothing is approved that was not signed.
func TestChangingAnswers(t *testing.T) {
	t.Parallel()
	t.Run("another application at the final selection", func(t *testing.T) {
		t.Parallel()
		tap := &tamper{card: cardsim.Direct(open(t, "approves-offline")), change: func(n int, capdu, r []byte) []byte {
			if capdu[1] == emv.InsSelect && n > 1 {
				r[len(r)/4] ^= 1 // inside the DF name
			}
			return r
		}}
		if _, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{}); err != nil || out.Kind != emv.NotAccepted {
			t.Fatalf("%s %q %v", out.Kind, out.Reason, err)
		}
	})
	t.Run("another PDOL at the final selection", func(t *testing.T) {
		t.Parallel()
		p, err := cardsim.Load("pdol")
		if err != nil {
			t.Fatal(err)
		}
		p.PSE = false
		card, err := cardsim.New(p)
		if err != nil {
			t.Fatal(err)
		}
		selects := 0
		tap := &tamper{card: cardsim.Direct(card), change: func(_ int, capdu, r []byte) []byte {
			if capdu[1] == emv.InsSelect && bytes.Contains(r, []byte{0x9F, 0x38}) {
				if selects++; selects == 2 {
					at := bytes.Index(r, []byte{0x9F, 0x38})
					r[at+3] ^= 0x01 // the list asks for another object
				}
			}
			return r
		}}
		_, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
		if err != nil || out.Kind == emv.Approve || selects < 2 {
			t.Fatalf("%s %q %v after %d selections", out.Kind, out.Reason, err, selects)
		}
	})
	t.Run("another counter in the second cryptogram's signature", func(t *testing.T) {
		t.Parallel()
		card := open(t, "cda-online")
		acs := 0
		tap := &tamper{card: cardsim.Direct(card), change: func(_ int, capdu, r []byte) []byte {
			if capdu[1] == emv.InsGenerateAC {
				if acs++; acs == 2 {
					at := bytes.Index(r, []byte{0x9F, 0x36})
					r[at+4] ^= 1
				}
			}
			return r
		}}
		session, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
		if err != nil || out.Kind != emv.Online {
			t.Fatalf("%s %v", out.Kind, err)
		}
		out, err = session.Complete(t.Context(), host(t, out, "00"))
		if err != nil || out.Kind != emv.Decline || out.Reason != emv.ReasonCDAFailed || !out.TVR.Has(emv.CDAFailed) {
			t.Fatalf("%s %q %v, TVR %v", out.Kind, out.Reason, err, out.TVR)
		}
	})
}

// TestPulledWhileVerifying: a card that is pulled out at any command of a PIN verification.
func TestPulledWhileVerifying(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain-pin", "enciphered-pin", "enciphered-pin-icc-key"} {
		card := open(t, name)
		for n := uint32(1); ; n++ {
			card.Reset()
			card.SetFault(cardsim.FaultSilentAfter, n)
			_, out, err := everything(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &pinPad{pins: []string{"1234"}})
			if err != nil {
				t.Fatal(err)
			}
			if out.Kind == emv.Approve {
				if n < 14 {
					t.Fatalf("%s approved after %d commands", name, n-1)
				}
				break
			}
			if out.Kind != emv.TryAgain || out.Reason != emv.ReasonCardMute || n > 40 {
				t.Fatalf("%s silent at %d: %s %q %v", name, n, out.Kind, out.Reason, out.Cause)
			}
		}
	}
}

// TestFallback: EMV leaves the magnetic stripe to the schemes; the outcome says when the chip could not be used at all.
func TestFallback(t *testing.T) {
	t.Parallel()
	mute := cardFunc(func(context.Context, []byte) ([]byte, error) { return nil, cardsim.ErrMute })
	empty := cardFunc(func(context.Context, []byte) ([]byte, error) { return []byte{0x6A, 0x82}, nil })
	card := func(name string) emv.Card { return cardsim.Direct(open(t, name)) }
	stripe := emv.Capabilities{0xE0, 0x68, 0xC8}
	for _, c := range []struct {
		name string
		card emv.Card
		caps emv.Capabilities
		want bool
	}{
		{"mute card", mute, stripe, true},
		{"no application in common", empty, stripe, true},
		{"terminal without a stripe reader", mute, emv.Capabilities{0x20, 0x68, 0xC8}, false},
		{"blocked card", card("card-blocked"), stripe, false},
		{"blocked application", card("application-blocked"), stripe, false},
		{"silent after the application was opened", card("torn"), stripe, false},
		{"malformed records", card("hostile-length"), stripe, false},
		{"declined", card("declines-offline"), stripe, false},
		{"approved", card("approves-offline"), stripe, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t)
			k.Terminal.Capabilities = c.caps
			_, out, err := k.Start(t.Context(), c.card, emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Fallback != c.want {
				t.Fatalf("%s %q: fallback %v, %v", out.Kind, out.Reason, out.Fallback, err)
			}
		})
	}
}

// TestBlockedByScript: a host's script blocks card, application or unblocks the PIN, and the next transaction feels it.
// EMV 4.4 Book 3, 10.10 and 6.5.1 to 6.5.10; Book 1, 12.3.
func TestBlockedByScript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		ins    byte
		kind   emv.Kind
		reason emv.Reason
		tries  uint8
	}{
		{"CARD BLOCK", 0x16, emv.NotAccepted, emv.ReasonCardBlocked, 0},
		{"APPLICATION BLOCK", 0x1E, emv.NotAccepted, emv.ReasonAppBlocked, 0},
		{"APPLICATION UNBLOCK", 0x18, emv.Online, emv.ReasonNone, 0},
		{"PIN CHANGE/UNBLOCK", 0x24, emv.Online, emv.ReasonNone, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := cardsim.Load("plain-pin-blocked")
			if err != nil {
				t.Fatal(err)
			}
			p.Applications[0].CVMList, p.Applications[0].Decide = nil, "online"
			card, err := cardsim.New(p)
			if err != nil {
				t.Fatal(err)
			}
			session, out, err := newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind != emv.Online || out.Language != "zhen" {
				t.Fatalf("%s %q %v, language %q", out.Kind, out.Reason, err, out.Language)
			}
			r := host(t, out, "00")
			r.Scripts = []byte{0x72, 0x06, 0x86, 0x04, 0x84, c.ins, 0, 0}
			if out, err = session.Complete(t.Context(), r); err != nil || out.Kind != emv.Approve || emv.HexBytes(out.ScriptResults).String() != "2000000000" {
				t.Fatalf("%s %q %v, scripts %x", out.Kind, out.Reason, err, out.ScriptResults)
			}
			card.Reset()
			_, out, err = newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind != c.kind || out.Reason != c.reason || card.PINTries() != c.tries {
				t.Fatalf("%s %q %v, %d tries", out.Kind, out.Reason, err, card.PINTries())
			}
		})
	}
}

// TestRevoked: an issuer certificate on the revocation list is a failure of offline data authentication. EMV 4.4 Book 2,
// 5.1.2 and 5.3, step 10; Book 4, 12.1.
func TestRevoked(t *testing.T) {
	t.Parallel()
	for name, bit := range map[string]emv.TVRBit{"approves-offline": emv.DDAFailed, "pdol": emv.CDAFailed, "sda-approves": emv.SDAFailed} {
		k := newKernel(t)
		asked := 0
		k.Revoked = func(rid emv.RID, index uint8, serial [3]byte) bool {
			asked++
			return rid == emv.RID{0xA0, 0, 0, 3, 0x33} && index == 0xF1 && serial == [3]byte{0, 0, 1}
		}
		_, out, err := k.Start(t.Context(), cardsim.Direct(open(t, name)), emv.Transaction{Amount: 100}, &dialogue{})
		if err != nil || asked != 1 || out.Kind == emv.Approve || !out.TVR.Has(bit) {
			t.Errorf("%s: %s %v, TVR %v, asked %d times", name, out.Kind, err, out.TVR, asked)
		}
	}
}

// TestCardholderTexts: language preference, preferred name and its code table. EMV 4.4 Book 4, 11.1 and 11.3.
func TestCardholderTexts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, old, with string // in the answer to SELECT
		label, language string
		table           uint8
	}{
		{"preferred name of the Latin table", "", "", "BEST CARD", "zhen", 1},
		{"table that cannot be shown", "\x9F\x11\x01\x01", "\x9F\x11\x01\x05", "TEST DEBIT", "zhen", 5},
		{"table that does not exist", "\x9F\x11\x01\x01", "\x9F\x11\x01\x63", "TEST DEBIT", "zhen", 0},
		{"language in capitals", "zhen", "ZHEN", "BEST CARD", "", 1},
		{"language of a printer command", "zhen", "\x1B@en", "BEST CARD", "", 1},
		{"name with a printer command", "BEST", "B\x1B@T", "B@T CARD", "zhen", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := cardsim.Load("approves-offline")
			if err != nil {
				t.Fatal(err)
			}
			p.Applications[0].Preferred = "BEST CARD"
			card, err := cardsim.New(p)
			if err != nil {
				t.Fatal(err)
			}
			tap := &tamper{card: cardsim.Direct(card), change: func(_ int, capdu, r []byte) []byte {
				if capdu[1] == emv.InsSelect && c.old != "" {
					return bytes.Replace(r, []byte(c.old), []byte(c.with), 1)
				}
				return r
			}}
			_, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind != emv.Approve || out.Label != c.label || out.Language != c.language || out.CodeTable != c.table {
				t.Fatalf("%s %v: label %q, language %q, table %d", out.Kind, err, out.Label, out.Language, out.CodeTable)
			}
		})
	}
}

// TestUnsignedApproval: a cryptogram without the combined signature that was asked for is never an approval. EMV 4.4 Book
// 2, 6.6.2.
func TestUnsignedApproval(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{
		"format 2": append(append([]byte{0x77, 0x14, 0x9F, 0x27, 1, 0x40, 0x9F, 0x36, 2, 0, 2, 0x9F, 0x26, 8}, make([]byte, 8)...), 0x90, 0x00),
		"format 1": append(append([]byte{0x80, 0x0B, 0x40, 0, 2}, make([]byte, 8)...), 0x90, 0x00),
	} {
		tap := &tamper{card: cardsim.Direct(open(t, "pdol")), change: func(_ int, capdu, r []byte) []byte {
			if capdu[1] == emv.InsGenerateAC {
				return bytes.Clone(answer)
			}
			return r
		}}
		_, out, err := newKernel(t).Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
		if err != nil || out.Kind != emv.Decline || out.Reason != emv.ReasonCDAFailed || !out.TVR.Has(emv.CDAFailed) {
			t.Errorf("%s: %s %q %v %v, TVR %v", name, out.Kind, out.Reason, out.Cause, err, out.TVR)
		}
	}
}
