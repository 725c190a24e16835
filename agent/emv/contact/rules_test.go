package contact

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"math"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// drawn is a source of numbers without a secret: the same in every run.
type drawn struct {
	block [32]byte
	at    int
}

func (s *drawn) Read(p []byte) (int, error) {
	for i := range p {
		if s.at%32 == 0 {
			s.block = sha256.Sum256(s.block[:])
		}
		p[i] = s.block[s.at%32]
		s.at++
	}
	return len(p), nil
}

// TestRandomSelection draws many times: the share of transactions sent online is the share that was set. EMV 4.4 Book 3,
// 10.6.2. Numbers are drawn from 1 to 99, so a target of n percent selects n of 99.
func TestRandomSelection(t *testing.T) {
	t.Parallel()
	const draws = 20000
	for _, c := range []struct {
		name        string
		amount      payment.Amount
		target, top uint8
		threshold   payment.Amount
		percent     float64
	}{
		{"0 percent", 100, 0, 0, 5000, 0},
		{"1 percent", 100, 1, 1, 5000, 1},
		{"20 percent below the threshold", 4999, 20, 90, 5000, 20},
		{"at the threshold", 5000, 20, 90, 5000, 20},
		{"half way from threshold to floor limit", 7500, 20, 90, 5000, 55},
		{"just under the floor limit", 9999, 20, 90, 5000, 89},
		{"99 percent", 100, 99, 99, 5000, 99},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := session(t, nil)
			s.kernel.Rand = &drawn{}
			s.tx.Amount = c.amount
			s.app.TargetPercent, s.app.MaxTargetPercent, s.app.Threshold = c.target, c.top, c.threshold
			n := 0
			for range draws {
				s.tvr.Clear(emv.SelectedRandomly)
				if err := s.checkAmount(); err != nil {
					t.Fatal(err)
				}
				if s.tvr.Has(emv.SelectedRandomly) {
					n++
				}
			}
			p := c.percent / 99
			if sigma := math.Sqrt(draws * p * (1 - p)); math.Abs(float64(n)-draws*p) > 4*sigma {
				t.Fatalf("%d of %d selected, %.0f expected, sigma %.1f", n, draws, draws*p, sigma)
			}
		})
	}
}

// TestTCHash: EMV 4.4 Book 3, 9.2.2: TDOL of the card, of the terminal, and none.
func TestTCHash(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, cdol, card, terminal string
		data                       string // what is hashed; "-" for no hash
		tvr                        string
	}{
		{"not asked for", "9F3704", "9A03", "", "-", "0000000000"},
		{"the card's TDOL", "9F3704 9814", "9A03 9C01", "9F0206", "260314 00", "0000000000"},
		{"the terminal's TDOL", "9814", "", "9F0206", "000000000000", "0000000080"},
		{"no TDOL", "9814", "", "", "", "0000000080"},
		{"an empty TDOL of the card", "9814", "*", "9F0206", "", "0000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := map[tlv.Tag]string{}
			if c.card != "" {
				objects[0x97] = strings.Trim(c.card, "*")
			}
			s := session(t, objects)
			s.app.DefaultTDOL = unhex(t, c.terminal)
			if err := s.prepareTCHash(unhex(t, c.cdol)); err != nil || bits(s.tvr) != c.tvr {
				t.Fatalf("%v, TVR %v", err, s.tvr)
			}
			got, ok := s.store.Value(0x98)
			if c.data == "-" {
				if ok {
					t.Fatalf("hash %x", got)
				}
				return
			}
			if want := sha1.Sum(unhex(t, c.data)); !bytes.Equal(got, want[:]) {
				t.Fatalf("hash %x, want %x", got, want)
			}
		})
	}
}

// TestScripts: EMV 4.4 Book 3, 10.10: what is read of the host's templates, and its bounds.
func TestScripts(t *testing.T) {
	t.Parallel()
	command := tlv.Append(nil, 0x86, unhex(t, "8416000000"))
	long := tlv.Append(nil, 0x86, append(unhex(t, "84DA9F58FF"), make([]byte, 255)...))
	for _, c := range []struct {
		name     string
		in       []byte
		scripts  int
		commands int // of all
		bad      int
		err      bool
	}{
		{"none", nil, 0, 0, 0, false},
		{"padding", []byte{0, 0}, 0, 0, 0, false},
		{"71 without an identifier", tlv.Append(nil, 0x71, command), 1, 1, 0, false},
		{"128 bytes in all", tlv.Append(nil, 0x72, bytes.Repeat(command, 18)), 1, 18, 0, false},
		{"a command of 260 bytes", tlv.Append(nil, 0x72, long), 1, 1, 0, false},
		{"32 commands", tlv.Append(nil, 0x71, bytes.Repeat(command, 32)), 1, 32, 0, false},
		{"33 commands", tlv.Append(nil, 0x71, bytes.Repeat(command, 33)), 1, 32, 1, false},
		{"8 scripts", bytes.Repeat(tlv.Append(nil, 0x71, command), 8), 8, 8, 0, false},
		{"9 scripts", bytes.Repeat(tlv.Append(nil, 0x71, command), 9), 8, 8, 0, true},
		{"a command of three bytes", tlv.Append(nil, 0x71, []byte{0x86, 3, 0x84, 0x16, 0}), 1, 0, 1, false},
		{"an empty template", []byte{0x72, 0}, 1, 0, 0, false},
		{"another template first", append([]byte{0x70, 0}, tlv.Append(nil, 0x71, command)...), 0, 0, 0, true},
		{"64 KiB that are not there", []byte{0x71, 0x83, 0x01, 0, 0}, 0, 0, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := parseScripts(c.in)
			commands, bad := 0, 0
			for _, s := range list {
				commands += len(s.commands)
				if s.bad {
					bad++
				}
			}
			if len(list) != c.scripts || commands != c.commands || bad != c.bad || (err != nil) != c.err {
				t.Fatalf("%d scripts, %d commands, %d bad, %v", len(list), commands, bad, err)
			}
		})
	}
}

// TestDDOL: EMV 4.4 Book 2, 6.5.1: a list without the unpredictable number, or none, is a failure before any command.
func TestDDOL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, card, terminal string }{
		{"none at all", "", ""},
		{"the card's without the number", "9A03", "9F3704"},
		{"the terminal's without the number", "", "9A03"},
		{"the number cut short", "9F3703", "9F3704"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := map[tlv.Tag]string{}
			if c.card != "" {
				objects[0x9F49] = c.card
			}
			s := session(t, objects)
			s.method, s.app.DefaultDDOL = odaDDA, unhex(t, c.terminal)
			if err := s.dynamic(t.Context()); err != nil || bits(s.tvr) != "0800000000" {
				t.Fatalf("%v, TVR %v", err, s.tvr)
			}
		})
	}
}

// TestChooseODA: EMV 4.4 Book 3, 10.3: the strongest method that both have.
func TestChooseODA(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		aip  emv.AIP
		caps byte
		want odaMethod
	}{
		{"all of both", emv.AIP{0x61}, 0xC8, odaCDA},
		{"no CDA in the terminal", emv.AIP{0x61}, 0xC0, odaDDA},
		{"no CDA in the card", emv.AIP{0x60}, 0xC8, odaDDA},
		{"SDA only", emv.AIP{0x40}, 0xC8, odaSDA},
		{"no SDA in the terminal", emv.AIP{0x40}, 0x48, odaNone},
		{"nothing in common", emv.AIP{0x20}, 0x80, odaNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := chooseODA(c.aip, emv.Capabilities{0, 0, c.caps}); got != c.want {
				t.Fatalf("%d, want %d", got, c.want)
			}
		})
	}
}
