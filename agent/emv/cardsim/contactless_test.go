package cardsim

import (
	"errors"
	"strings"
	"testing"

	"posagent/agent/emv"
)

// TestContactlessPersonalitiesLoad: every embedded personality can be made, and says what it does.
func TestContactlessPersonalitiesLoad(t *testing.T) {
	t.Parallel()
	names := ContactlessNames()
	if len(names) < 30 {
		t.Fatalf("%d personalities", len(names))
	}
	for _, n := range names {
		c, err := OpenContactless(n)
		if err != nil {
			t.Errorf("%s: %v", n, err)
			continue
		}
		if p := c.Personality(); p.Name != n || !strings.HasSuffix(p.About, ".") {
			t.Errorf("%s: name %q, about %q", n, p.Name, p.About)
		}
		if len(c.directory) > emv.MaxResponseData {
			t.Errorf("%s: directory of %d bytes", n, len(c.directory))
		}
		for _, a := range c.apps {
			for k, r := range a.records {
				if len(r) > emv.MaxResponseData {
					t.Errorf("%s: record %04X of %d bytes", n, k, len(r))
				}
			}
		}
	}
}

// TestContactlessParseNamesTheField: what no card can be made of is refused by name.
func TestContactlessParseNamesTheField(t *testing.T) {
	t.Parallel()
	for field, change := range map[string]func(*ContactlessApplication){
		"aid":          func(a *ContactlessApplication) { a.AID = nil },
		"pan":          func(a *ContactlessApplication) { a.PAN = "4761739001010029" },
		"kernel":       func(a *ContactlessApplication) { a.Kernel = 4 },
		"oda":          func(a *ContactlessApplication) { a.ODA = "cda" },
		"ctq":          func(a *ContactlessApplication) { a.CTQ = []byte{1} },
		"gpo":          func(a *ContactlessApplication) { a.GPOStatus = []byte{1} },
		"decide":       func(a *ContactlessApplication) { a.Decide = "maybe" },
		"iac":          func(a *ContactlessApplication) { a.IAC[0] = "00" },
		"drdol":        func(a *ContactlessApplication) { a.DRDOL = []byte{0x9F} },
		"extended":     func(a *ContactlessApplication) { a.Extended = make([]byte, 6) },
		"label":        func(a *ContactlessApplication) { a.Label = "" },
		"keys":         func(a *ContactlessApplication) { a.Keys = "c" },
		"service_code": func(a *ContactlessApplication) { a.ServiceCode = "1" },
		"expiry":       func(a *ContactlessApplication) { a.Expiry = emv.Date{} },
	} {
		p, err := LoadContactless("k3-fdda")
		if err != nil {
			t.Fatal(err)
		}
		change(&p.Applications[0])
		if _, err := NewContactless(p); !errors.Is(err, ErrPersonality) || !strings.HasSuffix(err.Error(), "."+field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := ParseContactless([]byte(`{"name":"x","faults":{"no-such":1}}`)); !errors.Is(err, ErrPersonality) {
		t.Errorf("unknown fault: %v", err)
	}
}

// FuzzContactlessTransmit: no command makes a card panic or answer more than an APDU.
func FuzzContactlessTransmit(f *testing.F) {
	f.Add([]byte{0x00, 0xA4, 0x04, 0x00, 0x07, 0xA0, 0, 0, 0, 4, 0x10, 0x10, 0}, []byte{0x80, 0xA8, 0, 0, 6, 0x83, 4, 0xE0, 8, 8, 0x22, 0})
	f.Add([]byte("\x00\xA4\x04\x00\x0E2PAY.SYS.DDF01\x00"), []byte{0x80, 0xD0, 0, 0, 4, 1, 2, 3, 4, 0})
	card, err := OpenContactless("k2-torn")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		card.Reset()
		for _, c := range [][]byte{a, b, b} {
			if r := card.Transmit(c); len(r) == 1 || len(r) > emv.MaxResponseData+2 {
				t.Fatalf("%d bytes", len(r))
			}
		}
	})
}
