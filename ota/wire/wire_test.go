package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite testdata")

// Keys of the tests: seed 00..1f and 01..20.
func testKey(first byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = first + byte(i)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func testSigner(first byte) Signer {
	public := testKey(first).Public().(ed25519.PublicKey)
	return Signer{KeyID: KeyID(public), Key: public}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func testConfig() *Config {
	key := CAPK{RID: "A000000333", Index: "80", Modulus: strings.Repeat("c1", 128), Exponent: "03", Expiry: "2035-12-31"}
	key.Checksum = key.Sum()
	return &Config{
		Schema: ConfigSchema, Revision: 7,
		Merchant:   Merchant{ID: "103290055410001", CategoryCode: "5541", NameZH: "测试商户", NameEN: "Test Merchant", Address: "1 Test Road"},
		TerminalID: "10000001",
		Acquirer: Acquirer{Profile: "unionpay-pos", Primary: "127.0.0.1:8583", TPDU: "6000030000", Head: "603100311234",
			TMKSlot: 1, ConnectTimeoutMS: 10_000, ResponseTimeoutMS: 60_000, ReversalTries: 3, KeyForm: "003", MAC: "ecb"},
		Currency: "156", Exponent: 2, Country: "156", Language: Chinese,
		Limits:   Limits{MaxAmount: 5_000_000, MaxRefund: 1_000_000, FloorLimit: 0, CVMRequired: 100_000},
		Receipt:  Receipt{HeaderZH: []string{"欢迎光临"}, HeaderEN: []string{"Welcome"}, Copies: 2},
		Features: []Feature{FeatureSale, FeatureVoid, FeatureSettlement},
		Batch:    Batch{SettleAt: "23:30", MaxTransactions: 500, PrintReport: true},
		AIDs: []AID{{AID: "A000000333010101", Label: "DEBIT", Partial: true, Version: "0020", TACDefault: "D84000A800",
			TACDenial: "0010000000", TACOnline: "D84004F800", DDOL: "9F3704", TargetPercent: 10, MaxPercent: 50}},
		CAPKs: []CAPK{key},
	}
}

func testEnvelope(t testing.TB) *Envelope {
	t.Helper()
	payload, err := Encode(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	e, err := Sign(Envelope{Type: TypeConfig, Tenant: "acme", Serial: "VT-0001", Revision: 7, ID: strings.Repeat("a1", 16),
		NotBefore: noon, Payload: payload}, testKey(0))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// messages is one good example of every message, written to testdata as the published examples.
func messages(t testing.TB) map[string]Message {
	nonceT, nonceF := strings.Repeat("0a", NonceBytes), strings.Repeat("0b", NonceBytes)
	digest := strings.Repeat("0c", 32)
	return map[string]Message{
		"boot_hello":     &Hello{Serial: "VT-0001", Model: "vt1", Firmware: "0.1.0", NonceT: nonceT, SPKISHA256: digest},
		"boot_challenge": &Challenge{NonceT: nonceT, NonceF: nonceF, State: StateRejected, Reasons: []string{"licence photo unreadable"}, ServerTime: noon},
		"boot_csr":       &CSR{NonceT: nonceT, CSR: []byte("DER of a PKCS 10 request"), CodeProof: digest},
		"boot_certificate": &Certificate{NonceT: nonceT, Serial: "VT-0001", Tenant: "acme",
			Chain: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", Broker: "fleet.example:8883",
			Signers: []Signer{testSigner(0)}, State: StateApproved},
		"boot_refused": &Refused{NonceT: nonceT, Reason: ReasonCodeWrong, TriesLeft: 4},
		"envelope":     testEnvelope(t),
		"config":       testConfig(),
		"birth":        &Presence{N: 12, Online: true, InstanceID: nonceT, BootCount: 3, Model: "vt1", Firmware: "0.1.0", Schemas: &Schemas{Config: 1, Event: 1}, State: StateActive, Time: noon},
		"will":         Will(12),
		"reported":     &Reported{Revision: 7, Hash: digest, State: ReportedRejected, Path: "aids[0].tac_denial", Reason: "want 5 bytes as hex", CurrentRevision: 6, CurrentHash: digest},
		"sync":         &Sync{Want: []Want{WantConfig}},
		"event_sale":   testSale(),
		"event_batch":  &Event{ID: "b-000002", Schema: 1, Kind: EventSettlement, LocalTime: noon, Settlement: &SettlementEvent{Batch: "000001", Currency: "156", DebitCount: 1, DebitTotal: 1234, Balanced: true, TerminalID: "10000001", MerchantID: "103290055410001"}},
		"event_device": &Event{ID: "d-000003", Schema: 1, Kind: EventDevice, LocalTime: noon, Device: &DeviceEvent{Code: "printer.paper_out", Severity: "warning"}},
		"ack":          &Ack{IDs: []string{"t-000001"}, Refused: []RefusedEvent{{ID: "t-000002", Path: "transaction.stan", Reason: "want 6 digits"}}},
	}
}

func testSale() *Event {
	return &Event{ID: "t-000001", Schema: 1, Kind: EventTransaction, RecordID: "1", LocalTime: noon.In(time.FixedZone("", 8*3600)),
		Transaction: &TransactionEvent{Type: "sale", State: "approved", Amount: 1234, Currency: "156", MaskedPAN: "622848******0000",
			EntryMode: "chip", STAN: "000001", Batch: "000001", RRN: "123456789012", ResponseCode: "00", AuthCode: "A12345",
			TerminalID: "10000001", MerchantID: "103290055410001"}}
}

func fresh(m Message) Message {
	switch m.(type) {
	case *Hello:
		return new(Hello)
	case *Challenge:
		return new(Challenge)
	case *CSR:
		return new(CSR)
	case *Certificate:
		return new(Certificate)
	case *Refused:
		return new(Refused)
	case *Envelope:
		return new(Envelope)
	case *Config:
		return new(Config)
	case *Presence:
		return new(Presence)
	case *Reported:
		return new(Reported)
	case *Sync:
		return new(Sync)
	case *Event:
		return new(Event)
	default:
		return new(Ack)
	}
}

func TestGolden(t *testing.T) {
	for name, m := range messages(t) {
		t.Run(name, func(t *testing.T) {
			body, err := Encode(m)
			if err != nil {
				t.Fatal(err)
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, body, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(pretty.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", pretty.Bytes(), want)
			}
			back := fresh(m)
			if err := Decode(want, back); err != nil {
				t.Fatalf("decode golden: %v", err)
			}
			again, err := Encode(back)
			if err != nil || !bytes.Equal(again, body) {
				t.Errorf("second encoding differs: %v\n%s\n%s", err, again, body)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	event, _ := Encode(testSale())
	config, _ := Encode(testConfig())
	sub := func(body []byte, old, new string) string {
		if !strings.Contains(string(body), old) {
			t.Fatalf("%s holds no %s", body, old)
		}
		return strings.Replace(string(body), old, new, 1)
	}
	for _, row := range []struct {
		name, body string
		into       Message
		kind       error
		path       string
	}{
		{"empty", "", new(Event), ErrSyntax, ""},
		{"truncated", string(event[:len(event)-1]), new(Event), ErrSyntax, ""},
		{"trailing", string(event) + "{}", new(Event), ErrSyntax, ""},
		{"array for object", "[]", new(Event), ErrType, ""},
		{"null", "null", new(Event), ErrType, ""},
		{"256 KiB", `{"id":"` + strings.Repeat("a", 256<<10) + `"}`, new(Event), ErrTooLarge, ""},
		{"10,000 deep", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), new(Event), ErrTooDeep, ""},
		{"33 deep in unknown field", `{"x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`, new(Event), ErrTooDeep, ""},
		{"bad UTF-8", "{\"id\":\"\xff\"}", new(Event), ErrNotUTF8, ""},
		{"lone surrogate", sub(event, `"id":"t-000001"`, `"id":"\ud800"`), new(Event), ErrNotUTF8, "id"},
		{"duplicate key", sub(event, `"schema":1`, `"schema":1,"schema":1`), new(Event), ErrDuplicate, "schema"},
		{"duplicate in nested", sub(event, `"amount":1234`, `"amount":1,"amount":1234`), new(Event), ErrDuplicate, "transaction.amount"},
		{"duplicate in unknown", sub(event, `"schema":1`, `"schema":1,"x":[{"a":1,"a":2}]`), new(Event), ErrDuplicate, "x[0].a"},
		{"other case", sub(event, `"amount":1234`, `"Amount":1234`), new(Event), ErrKey, "transaction"},
		{"fraction", sub(event, `"amount":1234`, `"amount":12.34`), new(Event), ErrType, "transaction.amount"},
		{"exponent", sub(event, `"amount":1234`, `"amount":1e3`), new(Event), ErrType, "transaction.amount"},
		{"beyond int64", sub(event, `"amount":1234`, `"amount":9223372036854775808`), new(Event), ErrType, "transaction.amount"},
		{"string for number", sub(event, `"amount":1234`, `"amount":"1234"`), new(Event), ErrType, "transaction.amount"},
		{"null for number", sub(event, `"amount":1234`, `"amount":null`), new(Event), ErrType, "transaction.amount"},
		{"negative", sub(event, `"amount":1234`, `"amount":-1`), new(Event), ErrInvalid, "transaction.amount"},
		{"time", sub(event, `"local_time":"2026`, `"local_time":"x2026`), new(Event), ErrType, "local_time"},
		{"clear card number", sub(event, `622848******0000`, `6228480000000000`), new(Event), ErrInvalid, "transaction.masked_pan"},
		{"too little masked", sub(event, `622848******0000`, `62284800****0000`), new(Event), ErrInvalid, "transaction.masked_pan"},
		{"other part", sub(event, `"kind":"transaction"`, `"kind":"device"`), new(Event), ErrMissing, "device"},
		{"unknown in config", sub(config, `"schema":1`, `"schema":1,"extra":{}`), new(Config), ErrUnknown, "extra"},
		{"unknown nested in config", sub(config, `"partial":true`, `"partial":true,"kernel":2`), new(Config), ErrUnknown, "aids[0].kernel"},
		{"bad tac", sub(config, `0010000000`, `001000000`), new(Config), ErrInvalid, "aids[0].tac_denial"},
		{"capk checksum", sub(config, `"index":"80"`, `"index":"81"`), new(Config), ErrInvalid, "capks[0].checksum"},
		{"capk not UTC date", sub(config, `2035-12-31`, `2035-02-30`), new(Config), ErrInvalid, "capks[0].expiry"},
		{"will of nothing", `{"n":0,"online":false}`, new(Presence), ErrInvalid, "n"},
		{"birth without state", `{"n":1,"online":true}`, new(Presence), ErrMissing, "instance_id"},
		{"no acks", `{}`, new(Ack), ErrInvalid, "ids"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := Decode([]byte(row.body), row.into)
			list := FieldErrors(err)
			if !errors.Is(err, row.kind) || len(list) == 0 {
				t.Fatalf("got %v, want %v", err, row.kind)
			}
			for _, one := range list {
				if one.Path == row.path && errors.Is(one, row.kind) {
					return
				}
			}
			t.Errorf("got %v, want path %q", err, row.path)
		})
	}
}

func TestUnknownFieldsInEventsAreIgnored(t *testing.T) {
	body, _ := Encode(testSale())
	with := strings.Replace(string(body), `"schema":1`, `"schema":2,"later":{"a":[null,true,1.5,"x"]}`, 1)
	var e Event
	if err := Decode([]byte(with), &e); err != nil || e.Schema != 2 || e.Transaction.Amount != 1234 {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestConfigListsEveryError(t *testing.T) {
	c := testConfig()
	c.Merchant.ID = "12"
	c.Acquirer.Primary = "host"
	c.Features = []Feature{"sale", "sale", "dance"}
	c.AIDs[0].MaxPercent = 5
	err := c.Validate()
	for _, path := range []string{"merchant.id", "acquirer.primary", "features[1]", "features[2]", "aids[0].max_percent"} {
		if !strings.Contains(err.Error(), path+": ") {
			t.Errorf("%v: lacks %s", err, path)
		}
	}
	if n := len(FieldErrors(fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", err)))); n != 5 {
		t.Errorf("got %d errors, want 5: %v", n, err)
	}
}

func TestOpen(t *testing.T) {
	good := testEnvelope(t)
	want := Expect{Type: TypeConfig, Tenant: "acme", Serial: "VT-0001", Signers: []Signer{testSigner(0)}, Now: noon.Add(time.Hour), After: 7}
	for _, row := range []struct {
		name   string
		change func(*Envelope, *Expect)
		resign bool
		err    error
	}{
		{"good", func(*Envelope, *Expect) {}, false, nil},
		{"clock not trusted", func(_ *Envelope, w *Expect) { w.Now = time.Time{} }, false, nil},
		{"unknown signer", func(_ *Envelope, w *Expect) { w.Signers = []Signer{testSigner(1)} }, false, ErrWrongSigner},
		{"no signer", func(_ *Envelope, w *Expect) { w.Signers = nil }, false, ErrWrongSigner},
		{"payload changed", func(e *Envelope, _ *Expect) { e.Payload[5] ^= 1 }, false, ErrSignature},
		{"revision changed", func(e *Envelope, _ *Expect) { e.Revision++ }, false, ErrSignature},
		{"serial changed", func(e *Envelope, _ *Expect) { e.Serial = "VT-0002" }, false, ErrSignature},
		{"time changed", func(e *Envelope, _ *Expect) { e.NotAfter = noon.Add(48 * time.Hour) }, false, ErrSignature},
		{"id changed", func(e *Envelope, _ *Expect) { e.ID = strings.Repeat("a2", 16) }, false, ErrSignature},
		{"key id of another", func(e *Envelope, w *Expect) {
			w.Signers = append(w.Signers, testSigner(1))
			e.KeyID = testSigner(1).KeyID
		}, false, ErrSignature},
		{"for another terminal", func(e *Envelope, _ *Expect) { e.Serial = "VT-0002" }, true, ErrWrongSerial},
		{"for another tenant", func(e *Envelope, _ *Expect) { e.Tenant = "other" }, true, ErrWrongTenant},
		{"another type", func(_ *Envelope, w *Expect) { w.Type = "lease" }, false, ErrWrongType},
		{"older", func(_ *Envelope, w *Expect) { w.After = 8 }, false, ErrReplayed},
		{"early", func(_ *Envelope, w *Expect) { w.Now = noon.Add(-time.Second) }, false, ErrNotYetValid},
		{"late", func(e *Envelope, _ *Expect) { e.NotAfter = noon.Add(time.Minute) }, true, ErrExpired},
		{"extra version", func(e *Envelope, _ *Expect) { e.V = 2 }, false, ErrInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			e, w := *good, want
			e.Payload = bytes.Clone(good.Payload)
			row.change(&e, &w)
			if row.resign {
				signed, err := Sign(e, testKey(0))
				if err != nil {
					t.Fatal(err)
				}
				e = *signed
			}
			body, err := json.Marshal(&e)
			if err != nil {
				t.Fatal(err)
			}
			opened, err := Open(body, w)
			if !errors.Is(err, row.err) {
				t.Fatalf("got %v, want %v", err, row.err)
			}
			if (err == nil) != (opened != nil) {
				t.Errorf("document %v with error %v", opened, err)
			}
		})
	}
}

func TestTopics(t *testing.T) {
	for _, leaf := range []Leaf{UpPresence, UpReported, UpEvent, UpSync, DownDesired, DownAck} {
		tenant, serial, got, err := ParseTopic(Topic("acme", "VT-0001", leaf))
		if err != nil || tenant != "acme" || serial != "VT-0001" || got != leaf {
			t.Errorf("%s: got %s %s %s %v", leaf, tenant, serial, got, err)
		}
		if leaf.FromTerminal() != strings.HasPrefix(string(leaf), "up/") {
			t.Errorf("%s: direction", leaf)
		}
	}
	for _, leaf := range []Leaf{BootHello, BootChallenge, BootCSR, BootCertificate, BootRefused} {
		serial, got, err := ParseBootTopic(BootTopic("VT-0001", leaf))
		if err != nil || serial != "VT-0001" || got != leaf {
			t.Errorf("%s: got %s %s %v", leaf, serial, got, err)
		}
	}
	for _, bad := range []string{"", "pos/v1/acme/VT-0001", "pos/v2/acme/VT-0001/up/event", "pos/v1/+/VT-0001/up/event",
		"pos/v1/acme/#", "pos/v1/acme/VT-0001/up/#", "pos/v1/Acme/VT-0001/up/event", "pos/v1/acme/VT/up/event",
		"pos/v1/acme/-VT-0001/up/event", "pos/v1/acme/VT-0001/up/event/", "$SYS/x", strings.Repeat("a/", 100)} {
		if _, _, _, err := ParseTopic(bad); !errors.Is(err, ErrTopic) {
			t.Errorf("%q: got %v", bad, err)
		}
		if _, _, err := ParseBootTopic(bad); !errors.Is(err, ErrTopic) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	if _, _, err := ParseClientID(ClientID("acme", "VT-0001")); err != nil {
		t.Error(err)
	}
	if _, _, err := ParseBootClientID(BootClientID("VT-0001", "0123456789abcdef")); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "VT-0001", "VT-0001/0123456789abcdef", "boot/VT-0001/0123456789abcde", "boot/VT-0001/0123456789ABCDEF", "boot/VT-0001/0123456789abcdef/x"} {
		if _, _, err := ParseBootClientID(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
	if n := len(ClientID(strings.Repeat("t", MaxTenant), strings.Repeat("s", MaxSerial))); n != 64 {
		t.Errorf("longest common name has %d characters", n)
	}
}

func TestCodeProof(t *testing.T) {
	key, err := CodeKey("VT-0001", "abcd-efg0")
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []string{"ABCDEFG0", "abcd efgo", "AB CD EF GO"} {
		again, err := CodeKey("VT-0001", same)
		if err != nil || !bytes.Equal(again, key) {
			t.Errorf("%q: another key, %v", same, err)
		}
	}
	other, _ := CodeKey("VT-0002", "ABCDEFG0")
	if bytes.Equal(other, key) {
		t.Error("key is not bound to the serial")
	}
	for _, bad := range []string{"", "ABCDEFG", "ABCDEFG00", "ABCDEFGU", "ABCDEFGé"} {
		if _, err := CodeKey("VT-0001", bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	a, b, c := strings.Repeat("01", 16), strings.Repeat("02", 16), strings.Repeat("03", 32)
	proof, err := CodeProof(key, a, b, c)
	if err != nil || len(proof) != 64 {
		t.Fatalf("%s, %v", proof, err)
	}
	swapped, _ := CodeProof(key, b, a, c)
	if swapped == proof {
		t.Error("nonces may be swapped")
	}
	if _, err := CodeProof(key, "zz", b, c); FieldErrors(err)[0].Path != "nonce_f" {
		t.Errorf("got %v", err)
	}
}

func TestStatesAreStable(t *testing.T) {
	if len(States) != 18 || State("NONE").Known() || !StateActive.Known() {
		t.Error("the list of states changed; the names are promises")
	}
	if got := KeyID(testKey(0).Public().(ed25519.PublicKey)); got != hex.EncodeToString([]byte{0x56, 0x47, 0x5a, 0xa7, 0x54, 0x63, 0x47, 0x4c}) {
		t.Errorf("key id %s", got)
	}
}
