package acquirer_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"posagent/agent/acquirer"
	"posagent/agent/payment"
)

var update = flag.Bool("update", false, "rewrite the reference messages")

// TestReference runs a session and compares every message with its annotated
// reference, shown whole (.hex) and as a trace shows it (.masked).
func TestReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t), nil)
		check := func(names ...string) {
			t.Helper()
			for i, buf := range []*bytes.Buffer{&w.taps.out, &w.taps.in} {
				f, err := acquirer.ParseFrame(buf.Bytes(), w.cfg.Profile.MaxFrame())
				if err != nil {
					t.Fatalf("%s: %v", names[i], err)
				}
				m, err := w.cfg.Profile.Unpack(f.Body)
				if err != nil {
					t.Fatalf("%s: %v", names[i], err)
				}
				golden(t, names[i]+".hex", acquirer.Annotate(m))
				golden(t, names[i]+".masked", acquirer.Describe(m))
				w.noSecret(acquirer.Describe(m))
				buf.Reset()
			}
		}
		w.signIn()
		check("0800-sign-in", "0810-sign-in")
		if err := w.link.Echo(t.Context(), w.stan); err != nil {
			t.Fatal(err)
		}
		check("0820-echo", "0830-echo")
		for _, withPIN := range []bool{false, true} {
			name := map[bool]string{false: "chip-no-pin", true: "chip-pin"}[withPIN]
			r := w.sale(withPIN)
			resp, err := w.link.Authorize(t.Context(), r)
			if err != nil || !resp.Code.Approved() {
				t.Fatalf("Authorize = %+v, %v", resp, err)
			}
			check("0200-"+name, "0210-"+name)
			rev := payment.Reversal{Request: r, Reason: payment.ReasonOther, AuthCode: resp.AuthCode}
			if resp, err = w.link.Reverse(t.Context(), rev); err != nil || resp.Code != "00" {
				t.Fatalf("Reverse = %+v, %v", resp, err)
			}
			check("0400-"+name, "0410-"+name)
		}
		w.stan = w.stan.Next()
		if err := w.link.SignOff(t.Context(), w.stan); err != nil {
			t.Fatal(err)
		}
		check("0820-sign-off", "0830-sign-off")
		for mti, want := range map[string]int{"0800": 1, "0810": 1, "0820": 2, "0830": 2, "0200": 2, "0210": 2, "0400": 2, "0410": 2} {
			if got := w.traced(mti); got != want {
				t.Errorf("%d traces of %s, want %d", got, mti, want)
			}
		}
		if len(w.foreign) != 0 {
			t.Errorf("foreign messages in a clean session: %v", w.foreign)
		}
	})
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

// references reads the bytes of all reference messages.
func references(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(paths) < 12 {
		t.Fatalf("reference messages: %d files, %v", len(paths), err)
	}
	all := make(map[string][]byte)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var body []byte
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			bytes, _, _ := strings.Cut(line[len("0000 F00 "):], " ;")
			b, err := hex.DecodeString(strings.ReplaceAll(bytes, " ", ""))
			if err != nil {
				t.Fatalf("%s: %q: %v", path, line, err)
			}
			body = append(body, b...)
		}
		all[filepath.Base(path)] = body
	}
	return all
}

func TestReferencesPackAgain(t *testing.T) {
	p := profile(t)
	for name, body := range references(t) {
		m, err := p.Unpack(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := m.Pack(); err != nil || !bytes.Equal(again, body) {
			t.Errorf("%s: packs to %x, %v; want %x", name, again, err, body)
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	p := profile(t)
	for name, body := range references(t) {
		for n := range body {
			var fe *acquirer.FieldError
			if _, err := p.Unpack(body[:n]); !errors.As(err, &fe) {
				t.Errorf("%s cut to %d of %d bytes: error %v, want a FieldError", name, n, len(body), err)
			} else if fe.Offset < 0 || fe.Offset > n {
				t.Errorf("%s cut to %d bytes: offset %d lies outside", name, n, fe.Offset)
			}
		}
	}
}

func TestTrailingBytesAreRefused(t *testing.T) {
	p := profile(t)
	for name, body := range references(t) {
		for _, extra := range [][]byte{{0}, {0xDE, 0xAD}, make([]byte, 300)} {
			var fe *acquirer.FieldError
			_, err := p.Unpack(append(bytes.Clone(body), extra...))
			if !errors.As(err, &fe) || fe.Field != -1 || fe.Offset != len(body) {
				t.Errorf("%s with %d bytes behind: %v", name, len(extra), err)
			}
		}
	}
}
