//go:build linux

package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"posagent/agent/acquirer"
	"posagent/agent/emv/cardsim"
	"posagent/cmd/lab/house"
)

// tap is a line to the host that somebody listens on: what the terminal sends is
// kept.
type tap struct {
	addr string
	sent output
}

// tapLine puts a tap before a host.
func tapLine(t *testing.T, host string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{addr: l.Addr().String()}
	var lines sync.WaitGroup
	lines.Go(func() {
		for { // ends with the listener
			terminal, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", host)
			if err != nil {
				terminal.Close()
				continue
			}
			pass := func(to, from net.Conn, keep io.Writer) {
				io.Copy(to, io.TeeReader(from, keep))
				to.Close()
				from.Close()
			}
			lines.Go(func() { pass(far, terminal, &p.sent) })
			lines.Go(func() { pass(terminal, far, io.Discard) })
		}
	})
	t.Cleanup(func() { l.Close(); lines.Wait() })
	return p
}

// secrets are what nobody may find anywhere: by name, in every form that a
// careless program might write.
func (p *tap) secrets(t *testing.T) map[string][][]byte {
	t.Helper()
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		t.Fatal(err)
	}
	card, err := cardsim.Load("online-pin")
	if err != nil {
		t.Fatal(err)
	}
	pan := card.Applications[0].PAN
	found := map[string][][]byte{"card number": forms([]byte(pan))}
	frames := acquirer.NewFrameReader(strings.NewReader(p.sent.String()), profile.MaxFrame())
	for {
		f, err := frames.Next()
		if err != nil {
			break
		}
		m, err := profile.Unpack(f.Body)
		if err != nil {
			t.Fatal(err)
		}
		if m.MTI() != "0200" || !m.Has(52) {
			continue
		}
		track := m.Text(35)
		if !strings.HasPrefix(track, pan) {
			t.Fatalf("the tapped request has a track 2 of %d characters that is not the card's", len(track))
		}
		found["track 2"] = append(found["track 2"], forms([]byte(track[len(pan)+1:]))...)
		found["enciphered PIN block"] = append(found["enciphered PIN block"], forms(m.Bytes(52))...)
	}
	if len(found) != 3 {
		t.Fatalf("the tapped line has shown %d kinds of secrets; want 3", len(found))
	}
	// ISO 9564-1, format 0: the PIN's field and the card number's, added modulo 2.
	clear, err := hex.DecodeString(fmt.Sprintf("0%d%s%s", len(house.CardPIN), house.CardPIN, strings.Repeat("F", 14-len(house.CardPIN))))
	number, err2 := hex.DecodeString("0000" + pan[len(pan)-13:len(pan)-1])
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	for i := range clear {
		clear[i] ^= number[i]
	}
	found["clear PIN block"] = forms(clear)
	return found
}

// forms are the ways in which bytes are written: as they are, as hex, in base 64
// at each of its three alignments, and, if they are digits, packed two to a byte
// at both alignments.
func forms(b []byte) [][]byte {
	all := [][]byte{b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b)))}
	for skip := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, skip), b...))
		whole := len(b) / 3 * 4
		if skip > 0 {
			text = text[4:]
			whole = (len(b) - (3 - skip)) / 3 * 4
		}
		all = append(all, []byte(text[:whole]))
	}
	for _, digits := range []string{string(b), string(b[min(1, len(b)-1):])} {
		if packed, err := hex.DecodeString(digits[:len(digits)/2*2]); err == nil {
			all = append(all, packed)
		}
	}
	return all
}

// leaks finds secrets in a place.
func leaks(where string, content []byte, secrets map[string][][]byte) []string {
	var all []string
	for name, list := range secrets {
		for _, form := range list {
			if len(form) >= 6 && bytes.Contains(content, form) {
				all = append(all, where+" holds the "+name)
				break
			}
		}
	}
	return all
}

// A whole sale, one that is cut off and reversed, and everything that is written
// meanwhile: logs at their most talkative, the terminal's and the fleet's files
// as bytes, the receipts, the events, the answers of the commands. No card
// number, no track, no PIN block is in any of it.
func TestNoSecretLeaks(t *testing.T) {
	s := openShop(t)
	line := tapLine(t, s.iso8583)
	c := s.config()
	c.Acquirer.Primary = line.addr
	s.write(s.path("config.json"), c)
	s.startTerminal()
	first := s.terminald
	s.activate()

	a, _ := s.sale("online-pin", "12.34", "whole")
	if a.Outcome != "approved" {
		t.Fatalf("sale: %+v", a)
	}
	s.script(`{"action": "drop"}`)
	leave := s.customer("online-pin")
	cut := launch(t, nil, "terminalctl", "-control", s.sock, "sale", "56.78", "-id", "cut off")
	s.wait("the host has taken the money", func() bool { return len(s.entries()) == 2 })
	s.terminald.kill()
	cut.end()
	leave()
	secrets := line.secrets(t)
	s.search("while a reversal is owed", secrets)

	s.startTerminal()
	s.waitReady()
	var commands bytes.Buffer
	commands.WriteString(s.ctl("status") + s.ctl("journal") + s.ctl("journal", "verify") + s.ctl("sale", "12.34", "-id", "whole"))
	commands.WriteString(s.fleetctl("events") + s.fleetctl("audit") + s.fleetctl("terminals", house.Serial))
	s.ctl("reprint")
	receipts := s.tear()
	events, err := json.Marshal(s.events())
	if err != nil {
		t.Fatal(err)
	}
	s.agree(receipts)
	s.stop()
	s.search("at the end", secrets)
	for where, content := range map[string]string{
		"receipts": strings.Join(receipts, "\n"), "events": string(events), "commands": commands.String(),
		"log of the first terminald": first.log.String() + first.out.String(), "log of terminald": s.terminald.log.String() + s.terminald.out.String(),
		"log of the host": s.host.log.String() + s.host.out.String(), "log of fleetd": s.fleetd.log.String() + s.fleetd.out.String(),
		"log of the board": s.board.log.String() + s.board.out.String(), "output of terminalctl": cut.log.String() + cut.out.String(),
	} {
		if content == "" && !strings.HasPrefix(where, "log of the board") {
			t.Errorf("%s: nothing to search", where)
		}
		for _, leak := range leaks(where, []byte(content), secrets) {
			t.Error(leak)
		}
	}
	// The search finds what is there: the line itself carries it all.
	if got := leaks("the line", []byte(line.sent.String()), secrets); len(got) != len(secrets)-1 {
		t.Errorf("on the line the search finds only %q", got)
	}
}

// search looks through every file of the shop.
func (s *shop) search(when string, secrets map[string][][]byte) {
	s.t.Helper()
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		for _, leak := range leaks(strings.TrimPrefix(path, s.dir), content, secrets) {
			s.t.Errorf("%s: %s", when, leak)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if files < 10 {
		s.t.Errorf("%s: %d files searched; want the state of terminal and fleet", when, files)
	}
}

func TestLeaksAreFound(t *testing.T) {
	secrets := map[string][][]byte{"card number": forms([]byte("6226090000000014"))}
	for _, row := range []struct {
		name, content string
		found         bool
	}{
		{"masked", "622609******0014", false},
		{"plain", `pan=6226090000000014;`, true},
		{"hex of the digits", hex.EncodeToString([]byte("6226090000000014")), true},
		{"packed", "\x62\x26\x09\x00\x00\x00\x00\x14", true},
		{"packed, shifted", "\x06\x22\x60\x90\x00\x00\x00\x01\x4D", true},
		{"base64", base64.StdEncoding.EncodeToString([]byte("6226090000000014")), true},
		{"base64, shifted by one", base64.StdEncoding.EncodeToString([]byte("x6226090000000014")), true},
		{"base64, shifted by two", base64.StdEncoding.EncodeToString([]byte("xy6226090000000014zz")), true},
	} {
		if got := leaks("text", []byte(row.content), secrets); (len(got) > 0) != row.found {
			t.Errorf("%s: %q", row.name, got)
		}
	}
}
