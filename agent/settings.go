package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/config"
	"posagent/agent/emv"
	"posagent/agent/emv/contact"
	"posagent/agent/keys"
	"posagent/agent/payment"
	"posagent/agent/receipt"
	"posagent/agent/transaction"
	"posagent/ota/wire"
)

// Terminal data of the contact kernel that the hardware decides (EMV 4.4 Book 4,
// Annex A): attended and online only; chip reader; online PIN, signature,
// enciphered offline PIN, no CVM; SDA and DDA; goods, numeric keys, cardholder
// display and printer. No plaintext offline PIN: card slot and PIN pad are on
// different wires, and the digits would pass the terminal on their way.
var (
	terminalType         = emv.TerminalType(0x21)
	terminalCapabilities = emv.Capabilities{0x20, 0x78, 0xC0}
	additionalCapability = [5]byte{0x60, 0x00, 0xF0, 0xA0, 0x01}
)

// work is everything a configuration means to this terminal, built once.
type work struct {
	settings transaction.Settings
	profile  *acquirer.Profile
	dial     func(ctx context.Context, network, addr string) (net.Conn, error)
	tpdu     [5]byte
	head     [6]byte
	config   wire.Config
}

// newWork turns a configuration into what the terminal works with. It is also the
// terminal's judgement of a configuration: an error is a *wire.FieldError.
func newWork(c *wire.Config, serial string) (*work, error) {
	w := &work{config: *c}
	currency, ok := payment.CurrencyByNumeric(c.Currency)
	if !ok || currency.Exponent != c.Exponent {
		return nil, wrong("currency", fmt.Errorf("%s with exponent %d is not known to this terminal", c.Currency, c.Exponent))
	}
	var err error
	if w.profile, err = acquirer.Builtin(c.Acquirer.Profile); err != nil {
		return nil, wrong("acquirer.profile", err)
	}
	if want := map[string]keys.MACAlgorithm{"ecb": keys.MACCUPECB, "x919": keys.MACX919}[c.Acquirer.MAC]; want != w.profile.MACAlgorithm() {
		return nil, wrong("acquirer.mac", fmt.Errorf("profile %s has %s", c.Acquirer.Profile, w.profile.MACAlgorithm()))
	}
	if c.Acquirer.KeyForm != signInForm {
		return nil, wrong("acquirer.key_form", fmt.Errorf("this terminal signs in with %s", signInForm))
	}
	if c.Acquirer.TMKSlot != tmkSlot {
		return nil, wrong("acquirer.tmk_slot", fmt.Errorf("the PIN pad has slot %d only", tmkSlot))
	}
	if c.Receipt.Copies > maxCopies {
		return nil, wrong("receipt.copies", fmt.Errorf("this terminal prints at most %d", maxCopies))
	}
	if err := unhex(w.tpdu[:], c.Acquirer.TPDU); err != nil {
		return nil, wrong("acquirer.tpdu", err)
	}
	if err := unhex(w.head[:], c.Acquirer.Head); err != nil {
		return nil, wrong("acquirer.head", err)
	}
	if w.dial, err = dialer(c.Acquirer); err != nil {
		return nil, wrong("acquirer.tls.ca", err)
	}
	kernel, err := newKernel(c, currency, serial)
	if err != nil {
		return nil, err
	}
	tap, err := newContactless(c, kernel)
	if err != nil {
		return nil, err
	}
	w.settings = transaction.Settings{
		TerminalID: payment.TerminalID(c.TerminalID), MerchantID: payment.MerchantID(c.Merchant.ID), Currency: currency,
		Max: payment.Amount(c.Limits.MaxAmount), Operator: "01", Kernel: kernel, Contactless: tap,
		SignInAfter: time.Duration(c.Acquirer.SignInHours) * time.Hour,
	}
	return w, nil
}

const (
	signInForm = "003" // double-length keys
	tmkSlot    = 1
)

func wrong(path string, err error) error {
	return &wire.FieldError{Path: path, Kind: wire.ErrInvalid, Detail: err.Error()}
}

func unhex(dst []byte, text string) error {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("want %d bytes as hex", len(dst))
	}
	copy(dst, b)
	return nil
}

// dialer connects to the primary host, and to the backup if that fails. With TLS
// the host's name and authority are checked; there is no way to skip it.
func dialer(a wire.Acquirer) (func(context.Context, string, string) (net.Conn, error), error) {
	plain := &net.Dialer{KeepAlive: 30 * time.Second}
	one := plain.DialContext
	if a.TLS != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(a.TLS.CA)) {
			return nil, errors.New("no certificate in it")
		}
		secure := &tls.Dialer{NetDialer: plain, Config: &tls.Config{RootCAs: pool, ServerName: a.TLS.ServerName, MinVersion: tls.VersionTLS12}}
		one = secure.DialContext
	}
	if a.Backup == "" {
		return one, nil
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		half, cancel := context.WithTimeout(ctx, time.Duration(a.ConnectTimeoutMS)*time.Millisecond/2)
		defer cancel()
		conn, err := one(half, network, addr)
		if err == nil {
			return conn, nil
		}
		backup, second := one(ctx, network, a.Backup)
		if second != nil {
			return nil, errors.Join(err, second)
		}
		return backup, nil
	}, nil
}

func newKernel(c *wire.Config, currency payment.Currency, serial string) (*contact.Kernel, error) {
	k := &contact.Kernel{Terminal: emv.Terminal{
		Type: terminalType, Capabilities: terminalCapabilities, Additional: additionalCapability,
		Country: c.Country, Currency: currency, IFDSerial: serial[max(0, len(serial)-8):],
		TerminalID: c.TerminalID, MerchantID: c.Merchant.ID, MCC: c.Merchant.CategoryCode,
	}}
	for i, a := range c.AIDs {
		app, err := newApplication(a)
		if err != nil {
			return nil, wrong(fmt.Sprintf("aids[%d]", i), err)
		}
		k.Applications = append(k.Applications, app)
	}
	list := make([]emv.CAPK, 0, len(c.CAPKs))
	for i, key := range c.CAPKs {
		capk, err := newCAPK(key)
		if err != nil {
			return nil, wrong(fmt.Sprintf("capks[%d]", i), err)
		}
		list = append(list, capk)
	}
	var err error
	if k.CAPKs, err = emv.NewCAPKs(list...); err != nil {
		return nil, wrong("capks", err)
	}
	return k, nil
}

func newApplication(a wire.AID) (emv.Application, error) {
	app := emv.Application{Partial: a.Partial, FloorLimit: payment.Amount(a.FloorLimit), Threshold: payment.Amount(a.Threshold),
		TargetPercent: a.TargetPercent, MaxTargetPercent: a.MaxPercent}
	err := errors.Join(app.AID.UnmarshalText([]byte(a.AID)), app.Version.UnmarshalText([]byte(a.Version)),
		app.TACDefault.UnmarshalText([]byte(a.TACDefault)), app.TACDenial.UnmarshalText([]byte(a.TACDenial)), app.TACOnline.UnmarshalText([]byte(a.TACOnline)),
		app.DefaultDDOL.UnmarshalText([]byte(a.DDOL)), app.DefaultTDOL.UnmarshalText([]byte(a.TDOL)))
	return app, err
}

func newCAPK(k wire.CAPK) (emv.CAPK, error) {
	var out emv.CAPK
	var index emv.HexBytes
	err := errors.Join(out.RID.UnmarshalText([]byte(k.RID)), index.UnmarshalText([]byte(k.Index)), out.Modulus.UnmarshalText([]byte(k.Modulus)),
		out.Exponent.UnmarshalText([]byte(k.Exponent)), out.Expiry.UnmarshalText([]byte(k.Expiry)), out.Checksum.UnmarshalText([]byte(k.Checksum)))
	if err == nil && len(index) != 1 {
		err = errors.New("index is not one byte")
	}
	if err != nil {
		return out, err
	}
	out.Index = index[0]
	return out, out.Verify()
}

// header is what the configuration puts on every receipt.
func header(c *config.Snapshot, width int) receipt.Header {
	h := receipt.Header{NameZH: c.Merchant.NameZH, NameEN: c.Merchant.NameEN, Address: c.Merchant.Address, Width: width}
	h.Lines, h.Footer = c.Receipt.HeaderZH, c.Receipt.FooterZH
	if c.Language == wire.English {
		h.Lines, h.Footer = c.Receipt.HeaderEN, c.Receipt.FooterEN
	}
	return h
}
