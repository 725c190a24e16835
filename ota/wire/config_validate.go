package wire

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// Bounds of a Config's lists.
const (
	MaxAIDs         = 64
	MaxCAPKs        = 64
	maxReceiptLines = 4
)

func (*Config) strict() bool { return true }

// Validate implements Message. It reports every wrong field, not only the first.
func (m *Config) Validate() error {
	var c checker
	c.require(m.Schema == ConfigSchema, "schema", "want %d, have %d", ConfigSchema, m.Schema)
	c.require(m.Revision > 0, "revision", "want 1 or more")
	m.Merchant.validate(&c)
	c.terminalID("terminal_id", m.TerminalID)
	m.Acquirer.validate(&c)
	c.digits("currency", m.Currency, 3, 3)
	c.require(m.Exponent <= 4, "exponent", "want 0 to 4, have %d", m.Exponent)
	c.digits("country", m.Country, 3, 3)
	oneOf(&c, "language", m.Language, Chinese, English)
	m.Limits.validate(&c)
	m.Receipt.validate(&c)
	validateFeatures(&c, m.Features)
	m.Batch.validate(&c)
	validateAIDs(&c, m.AIDs)
	validateCAPKs(&c, m.CAPKs)
	return c.err()
}

func (m *Merchant) validate(c *checker) {
	c.digits("merchant.id", m.ID, 15, 15)
	c.digits("merchant.category_code", m.CategoryCode, 4, 4)
	c.text("merchant.name_zh", m.NameZH, 1, 40)
	c.text("merchant.name_en", m.NameEN, 1, 40)
	c.text("merchant.address", m.Address, 0, 100)
}

func (c *checker) terminalID(path, s string) {
	if s == "" {
		c.add(path, ErrMissing, "want 8 letters or digits")
		return
	}
	c.require(len(s) == 8 && only(s, alnum), path, "want 8 letters or digits, have %s", quote(s))
}

func (m *Acquirer) validate(c *checker) {
	oneOf(c, "acquirer.profile", m.Profile, "unionpay-pos")
	c.hostPort("acquirer.primary", m.Primary)
	if m.Backup != "" {
		c.hostPort("acquirer.backup", m.Backup)
	}
	if m.TLS != nil {
		c.ascii("acquirer.tls.server_name", m.TLS.ServerName, 1, 253)
		c.require(certificates(m.TLS.CA), "acquirer.tls.ca", "want PEM certificates, at most 16 KiB")
	}
	c.hex("acquirer.tpdu", m.TPDU, 5, 5)
	c.require(m.TPDU == "" || strings.HasPrefix(m.TPDU, "60"), "acquirer.tpdu", "want protocol id 60 first")
	c.hex("acquirer.head", m.Head, 6, 6)
	c.require(m.TMKSlot < 100, "acquirer.tmk_slot", "want 0 to 99, have %d", m.TMKSlot)
	c.within("acquirer.connect_timeout_ms", m.ConnectTimeoutMS, 500, 60_000)
	c.within("acquirer.response_timeout_ms", m.ResponseTimeoutMS, 1_000, 120_000)
	c.within("acquirer.reversal_tries", uint32(m.ReversalTries), 1, 10)
	c.within("acquirer.sign_in_hours", uint32(m.SignInHours), 0, 72)
	oneOf(c, "acquirer.key_form", m.KeyForm, "001", "003", "004")
	oneOf(c, "acquirer.mac", m.MAC, "ecb", "x919")
}

func (c *checker) within(path string, v, low, high uint32) {
	c.require(v >= low && v <= high, path, "want %d to %d, have %d", low, high, v)
}

func certificates(text string) bool {
	if len(text) > 16<<10 {
		return false
	}
	n := 0
	for rest := []byte(text); len(rest) > 0; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return n > 0 && strings.TrimSpace(string(rest)) == ""
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil || block.Type != "CERTIFICATE" {
			return false
		}
	}
	return n > 0
}

func (m *Limits) validate(c *checker) {
	c.require(m.MaxAmount >= 1 && m.MaxAmount <= MaxAmount, "limits.max_amount", "want 1 to %d minor units, have %d", MaxAmount, m.MaxAmount)
	c.amount("limits.max_refund", m.MaxRefund, MaxAmount)
	c.amount("limits.floor_limit", m.FloorLimit, MaxAmount)
	c.amount("limits.cvm_required", m.CVMRequired, MaxAmount)
}

func (m *Receipt) validate(c *checker) {
	for _, part := range []struct {
		name  string
		lines []string
		width int
	}{
		{"header_zh", m.HeaderZH, 24}, {"header_en", m.HeaderEN, 48},
		{"footer_zh", m.FooterZH, 24}, {"footer_en", m.FooterEN, 48},
	} {
		path := "receipt." + part.name
		c.require(len(part.lines) <= maxReceiptLines, path, "want at most %d lines, have %d", maxReceiptLines, len(part.lines))
		for i, line := range part.lines {
			c.text(fmt.Sprintf("%s[%d]", path, i), line, 0, part.width)
		}
	}
	c.require(m.Copies <= 3, "receipt.copies", "want 0 to 3, have %d", m.Copies)
}

func validateFeatures(c *checker, list []Feature) {
	c.require(len(list) >= 1, "features", "want at least one")
	seen := map[Feature]bool{}
	for i, f := range list {
		at := fmt.Sprintf("features[%d]", i)
		oneOf(c, at, f, features...)
		c.require(!seen[f], at, "%s is named twice", quote(string(f)))
		seen[f] = true
	}
}

func (m *Batch) validate(c *checker) {
	if m.SettleAt != "" {
		_, err := time.Parse("15:04", m.SettleAt)
		c.require(err == nil && len(m.SettleAt) == 5, "batch.settle_at", "want HH:MM, have %s", quote(m.SettleAt))
	}
	c.within("batch.max_transactions", uint32(m.MaxTransactions), 1, 9_999)
}

func validateAIDs(c *checker, list []AID) {
	c.require(len(list) >= 1 && len(list) <= MaxAIDs, "aids", "want 1 to %d, have %d", MaxAIDs, len(list))
	seen := map[string]bool{}
	for i := range list {
		at, a := fmt.Sprintf("aids[%d].", i), &list[i]
		c.hex(at+"aid", a.AID, 5, 16)
		key := strings.ToUpper(a.AID)
		c.require(!seen[key], at+"aid", "%s is named twice", quote(a.AID))
		seen[key] = true
		c.text(at+"label", a.Label, 1, 16)
		c.hex(at+"version", a.Version, 2, 2)
		c.hex(at+"tac_default", a.TACDefault, 5, 5)
		c.hex(at+"tac_denial", a.TACDenial, 5, 5)
		c.hex(at+"tac_online", a.TACOnline, 5, 5)
		c.amount(at+"floor_limit", a.FloorLimit, MaxAmount)
		c.require(a.Threshold >= 0 && a.Threshold <= a.FloorLimit, at+"threshold", "want 0 to the floor limit, have %d", a.Threshold)
		c.require(a.TargetPercent <= 99, at+"target_percent", "want 0 to 99, have %d", a.TargetPercent)
		c.require(a.MaxPercent <= 99 && a.MaxPercent >= a.TargetPercent, at+"max_percent", "want target_percent to 99, have %d", a.MaxPercent)
		c.hex(at+"ddol", a.DDOL, 0, 64)
		c.hex(at+"tdol", a.TDOL, 0, 64)
		c.require(a.Priority <= 15, at+"priority", "want 0 to 15, have %d", a.Priority)
	}
}

func validateCAPKs(c *checker, list []CAPK) {
	c.require(len(list) <= MaxCAPKs, "capks", "want at most %d, have %d", MaxCAPKs, len(list))
	seen := map[string]bool{}
	for i := range list {
		at, k := fmt.Sprintf("capks[%d].", i), &list[i]
		before := len(c.errs)
		c.hex(at+"rid", k.RID, 5, 5)
		c.hex(at+"index", k.Index, 1, 1)
		key := strings.ToUpper(k.RID + k.Index)
		c.require(!seen[key], at+"index", "%s is named twice for its RID", quote(k.Index))
		seen[key] = true
		c.hex(at+"modulus", k.Modulus, 64, 248)
		oneOf(c, at+"exponent", k.Exponent, "03", "010001")
		_, err := time.Parse(time.DateOnly, k.Expiry)
		c.require(err == nil, at+"expiry", "want YYYY-MM-DD, have %s", quote(k.Expiry))
		c.hex(at+"checksum", k.Checksum, sha1.Size, sha1.Size)
		if len(c.errs) == before {
			c.require(strings.EqualFold(k.Checksum, k.Sum()), at+"checksum", "does not fit the key")
		}
	}
}

// Sum is the checksum that belongs to the key: SHA-1 over RID, index, modulus and exponent, hex. It is empty when one
// of them is not hex.
func (k *CAPK) Sum() string {
	raw, err := hex.DecodeString(k.RID + k.Index + k.Modulus + k.Exponent)
	if err != nil {
		return ""
	}
	sum := sha1.Sum(raw)
	return hex.EncodeToString(sum[:])
}
