package agent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/receipt"
	"posagent/drivers/pinpad"
	"posagent/ota/wire"
)

func sample(t *testing.T) *wire.Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "ota", "wire", "testdata", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c wire.Config
	if err := wire.Decode(data, &c); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestConfigurationBecomesWork(t *testing.T) {
	c := sample(t)
	w, err := newWork(c, "PA-2026-000123")
	if err != nil {
		t.Fatal(err)
	}
	s := w.settings
	if s.TerminalID != payment.TerminalID(c.TerminalID) || s.MerchantID != payment.MerchantID(c.Merchant.ID) || s.Currency != payment.CNY ||
		s.Max != payment.Amount(c.Limits.MaxAmount) || len(s.Kernel.Applications) != len(c.AIDs) || s.Kernel.CAPKs.Len() != len(c.CAPKs) {
		t.Errorf("settings %+v do not say what the configuration says", s)
	}
	if got := s.Kernel.Terminal.IFDSerial; got != "6-000123" {
		t.Errorf("interface device serial number = %q, want the last eight characters", got)
	}
	if err := s.Kernel.Terminal.Validate(); err != nil {
		t.Errorf("kernel's terminal data: %v", err)
	}
}

// TestConfigurationNotForThisTerminal: what is well formed and cannot work here
// is refused with the path of the field.
func TestConfigurationNotForThisTerminal(t *testing.T) {
	for _, row := range []struct {
		path  string
		spoil func(*wire.Config)
	}{
		{"currency", func(c *wire.Config) { c.Currency = "999" }},
		{"currency", func(c *wire.Config) { c.Exponent = 0 }},
		{"acquirer.profile", func(c *wire.Config) { c.Acquirer.Profile = "other" }},
		{"acquirer.mac", func(c *wire.Config) { c.Acquirer.MAC = "x919" }},
		{"acquirer.key_form", func(c *wire.Config) { c.Acquirer.KeyForm = "004" }},
		{"acquirer.tmk_slot", func(c *wire.Config) { c.Acquirer.TMKSlot = 2 }},
		{"acquirer.tpdu", func(c *wire.Config) { c.Acquirer.TPDU = "60" }},
		{"acquirer.head", func(c *wire.Config) { c.Acquirer.Head = "zz" }},
		{"acquirer.tls.ca", func(c *wire.Config) { c.Acquirer.TLS = &wire.HostTLS{ServerName: "host.test", CA: "no certificate"} }},
		{"receipt.copies", func(c *wire.Config) { c.Receipt.Copies = 3 }},
		{"aids[0]", func(c *wire.Config) { c.AIDs[0].TACDenial = "00" }},
		{"capks[0]", func(c *wire.Config) { c.CAPKs[0].Checksum = c.CAPKs[0].Checksum[2:] + "00" }},
		{"capks", func(c *wire.Config) { c.CAPKs = append(c.CAPKs, c.CAPKs[0]) }},
	} {
		t.Run(row.path, func(t *testing.T) {
			c := sample(t)
			row.spoil(c)
			_, err := newWork(c, "PA000001")
			var field *wire.FieldError
			if !errors.As(err, &field) || field.Path != row.path {
				t.Errorf("newWork = %v, want a field error at %s", err, row.path)
			}
		})
	}
}

func TestCopies(t *testing.T) {
	for _, row := range []struct {
		state      journal.State
		configured uint8
		want       int
	}{
		{journal.Approved, 0, 0}, {journal.Approved, 1, 1}, {journal.Approved, 2, 2}, {journal.Approved, 9, 2},
		{journal.Declined, 2, 0}, {journal.NotSent, 2, 0}, {journal.Reversing, 0, 1}, {journal.Reversed, 2, 1},
	} {
		got := copies(journal.Record{State: row.state}, row.configured)
		if len(got) != row.want {
			t.Errorf("%s with %d copies configured: %v", row.state, row.configured, got)
		}
		if len(got) > 0 && row.state == journal.Approved && got[0] != receipt.Merchant {
			t.Errorf("first copy is %s, want the merchant's", got[0])
		}
	}
}

func TestEveryPadKeyHasAMenuName(t *testing.T) {
	for k, want := range map[pinpad.Key]operator.Key{pinpad.Key0: operator.Key0, pinpad.Key9: operator.Key9, pinpad.Enter: operator.KeyEnter,
		pinpad.Cancel: operator.KeyCancel, pinpad.Clear: operator.KeyClear, pinpad.Up: operator.KeyUp, pinpad.Down: operator.KeyDown, pinpad.F1: operator.KeyFunc} {
		if got := operatorKey(k); got != want {
			t.Errorf("key %s is %q in the menu, want %q", k, got, want)
		}
	}
}
