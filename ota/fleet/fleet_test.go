package fleet_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/ota/fleet"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

func config(b *fleetBench, serial string) wire.Config {
	b.t.Helper()
	_, binding, _, err := b.s.Terminal(serial)
	if err != nil || binding == nil {
		b.t.Fatal(binding, err)
	}
	key := wire.CAPK{RID: "A000000333", Index: "80", Modulus: strings.Repeat("c1", 128), Exponent: "03", Expiry: "2035-12-31"}
	key.Checksum = key.Sum()
	return wire.Config{
		Merchant:   wire.Merchant{ID: binding.MerchantID, CategoryCode: "5541", NameZH: "测试商户", NameEN: "Test Merchant"},
		TerminalID: binding.TerminalID,
		Acquirer: wire.Acquirer{Profile: "unionpay-pos", Primary: "127.0.0.1:8583", TPDU: "6000030000", Head: "603100311234",
			ConnectTimeoutMS: 10_000, ResponseTimeoutMS: 60_000, ReversalTries: 3, KeyForm: "003", MAC: "ecb"},
		Currency: "156", Exponent: 2, Country: "156", Language: wire.Chinese,
		Limits: wire.Limits{MaxAmount: 5_000_000}, Receipt: wire.Receipt{Copies: 2},
		Features: []wire.Feature{wire.FeatureSale}, Batch: wire.Batch{MaxTransactions: 500},
		AIDs: []wire.AID{{AID: "A000000333010101", Label: "DEBIT", Version: "0020", TACDefault: "D84000A800",
			TACDenial: "0010000000", TACOnline: "D84004F800", DDOL: "9F3704"}},
		CAPKs: []wire.CAPK{key},
	}
}

func sale(id string) *wire.Event {
	return &wire.Event{ID: id, Schema: 1, Kind: wire.EventTransaction, LocalTime: time.Now(), Transaction: &wire.TransactionEvent{
		Type: "sale", State: "approved", Amount: 1234, Currency: "156", MaskedPAN: "622848******0000", STAN: "000001",
		TerminalID: "10000001", MerchantID: "103290055410001"}}
}

func (x *terminal) open(body []byte, after uint64) (*wire.Envelope, error) {
	return wire.Open(body, wire.Expect{Type: wire.TypeConfig, Tenant: "acme", Serial: x.serial, Signers: x.cert.Signers, Now: time.Now(), After: after})
}

// TestWholeLife goes the straight way: enrol, activate, birth, configuration, report, event, will.
func TestWholeLife(t *testing.T) {
	b := startFleet(t)
	x := activated(t, b, "VT-0001")
	eventually(t, "online", func() bool {
		v, _, _, err := b.s.Terminal("VT-0001")
		return err == nil && v.Presence != nil && v.Presence.Online && v.Presence.Firmware == "1.2.3" && v.State == wire.StateActive
	})

	d, err := b.s.PushConfig(context.Background(), "admin", "VT-0001", config(b, "VT-0001"))
	if err != nil {
		t.Fatal(err)
	}
	env, err := x.open(x.hearRaw(x.topic(wire.DownDesired)), 0)
	if err != nil {
		t.Fatal(err)
	}
	var cfg wire.Config
	if err := wire.Decode(env.Payload, &cfg); err != nil || cfg.Revision != 1 || wire.Hash(env.Payload) != d.Hash {
		t.Fatalf("got revision %d, %v", cfg.Revision, err)
	}
	x.publish(x.topic(wire.UpReported), &wire.Reported{Revision: 1, Hash: d.Hash, State: wire.ReportedApplied, CurrentRevision: 1, CurrentHash: d.Hash})
	eventually(t, "reported", func() bool {
		v, _, _, _ := b.s.Terminal("VT-0001")
		return v.Reported != nil && v.Reported.State == wire.ReportedApplied
	})

	x.publish(x.topic(wire.UpSync), &wire.Sync{Want: []wire.Want{"something_new", wire.WantConfig}})
	x.hearRaw(x.topic(wire.DownDesired))

	x.publish(x.topic(wire.UpEvent), sale("t-1"))
	var ack wire.Ack
	x.hear(x.topic(wire.DownAck), &ack)
	if len(ack.IDs) != 1 || ack.IDs[0] != "t-1" {
		t.Errorf("got %+v", ack)
	}
	if list, err := b.s.Events("VT-0001", 0, 0); err != nil || len(list) != 1 || list[0].Event.Transaction.Amount != 1234 {
		t.Errorf("got %+v, %v", list, err)
	}

	x.client.Disconnect(100) // a clean goodbye has no will
	eventually(t, "offline", func() bool {
		v, _, _, _ := b.s.Terminal("VT-0001")
		return !v.Presence.Online
	})
	head, err := b.s.VerifyAudit()
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.s.Audit(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range list {
		actions = append(actions, e.Action)
	}
	want := "terminal.registered code.issued certificate.issued config.pushed config.applied"
	if got := strings.Join(actions, " "); got != want || head.Seq != 5 {
		t.Errorf("audit trail %s, want %s", got, want)
	}
}

func TestActivationRefused(t *testing.T) {
	b := startFleet(t)
	code := b.enroll("VT-0001")
	x := newTerminal(t, b, "VT-0001")
	for tries := 4; tries >= 0; tries-- {
		want := wire.ReasonCodeWrong
		if tries == 0 {
			want = wire.ReasonCodeLocked
		}
		if r := x.activate("00000000"); r == nil || r.Reason != want || r.TriesLeft != uint32(tries) {
			t.Fatalf("got %+v, want %s with %d tries left", r, want, tries)
		}
	}
	if r := x.activate(code); r == nil || r.Reason != wire.ReasonCodeLocked {
		t.Errorf("right code after the lock: %+v", r)
	}
	again, err := b.s.IssueCode(context.Background(), "admin", "VT-0001")
	if err != nil {
		t.Fatal(err)
	}
	if r := x.activate(again.Code); r != nil {
		t.Errorf("new code: %v", r)
	}
	if r := newTerminal(t, b, "VT-0001").activate(again.Code); r == nil || r.Reason != wire.ReasonCodeUsed {
		t.Errorf("reuse: %+v", r)
	}
	if r := newTerminal(t, b, "VT-9999").activate("00000000"); r == nil || r.Reason != wire.ReasonUnknownSerial {
		t.Errorf("unknown serial: %+v", r)
	}
}

func TestExpiredCodeIsRefused(t *testing.T) {
	b := &fleetBench{t: t, dir: t.TempDir()}
	var mu sync.Mutex
	offset := time.Duration(0)
	b.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return time.Now().Add(offset)
	}
	b.start()
	defer func() { b.stop() }()
	code := b.enroll("VT-0001")
	mu.Lock()
	offset = enroll.CodeLife + time.Minute
	mu.Unlock()
	if r := newTerminal(t, b, "VT-0001").activate(code); r == nil || r.Reason != wire.ReasonCodeExpired {
		t.Errorf("got %+v", r)
	}
}

// TestConnectionRefused: nobody gets on the main listener but the terminal that the fleet knows.
func TestConnectionRefused(t *testing.T) {
	b := startFleet(t)
	x := activated(t, b, "VT-0001")
	other := activated(t, b, "VT-0002")
	foreign := startFleet(t) // another fleet with the same tenant and serial
	stranger := activated(t, foreign, "VT-0001")
	old := newTerminal(t, b, "VT-0003")
	if r := old.activate(b.enroll("VT-0003")); r != nil {
		t.Fatal(r)
	}
	if err := b.s.Revoke(context.Background(), "admin", "VT-0003", "test"); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		client string
		config func() *tls.Config
		change func(*mqtt.ClientOptions)
		want   string
	}{
		{"no certificate", "acme/VT-0001", func() *tls.Config { return &tls.Config{RootCAs: x.roots()} }, nil, "certificate required"},
		{"certificate of a foreign authority", "acme/VT-0001", func() *tls.Config {
			c := stranger.tls(stranger.cert.Chain)
			c.RootCAs = x.roots()
			return c
		}, nil, "unknown certificate authority"},
		{"client id of another terminal", "acme/VT-0001", func() *tls.Config { return other.tls(other.cert.Chain) }, nil, "identifier rejected"},
		{"revoked certificate", "acme/VT-0003", func() *tls.Config { return old.tls(old.cert.Chain) }, nil, "ot Authorized"},
		{"session that is kept", "acme/VT-0001", func() *tls.Config { return x.tls(x.cert.Chain) },
			func(o *mqtt.ClientOptions) { o.SetCleanSession(false) }, "ot Authorized"},
		{"will on another's topic", "acme/VT-0001", func() *tls.Config { return x.tls(x.cert.Chain) },
			func(o *mqtt.ClientOptions) { o.SetWill(wire.Topic("acme", "VT-0002", wire.UpPresence), "{}", 1, true) }, "ot Authorized"},
		{"no keepalive", "acme/VT-0001", func() *tls.Config { return x.tls(x.cert.Chain) },
			func(o *mqtt.ClientOptions) { o.SetKeepAlive(0) }, "ot Authorized"},
	} {
		t.Run(row.name, func(t *testing.T) {
			y := newTerminal(t, b, "VT-0001")
			err := y.connect(b.s.Addrs().MQTT, row.client, row.config(), row.change)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
	x.publish(x.topic(wire.UpEvent), sale("t-1")) // the honest one was not disturbed
	x.hear(x.topic(wire.DownAck), new(wire.Ack))
	if v, _, _, err := b.s.Terminal("VT-0002"); err != nil || !v.Presence.Online {
		t.Errorf("another's will was believed: %+v, %v", v.Presence, err)
	}
}

func TestRevocationClosesTheConnection(t *testing.T) {
	b := startFleet(t)
	x := newTerminal(t, b, "VT-0001")
	if r := x.activate(b.enroll("VT-0001")); r != nil {
		t.Fatal(r)
	}
	lost := make(chan error, 1)
	err := x.connect(x.cert.Broker, "acme/VT-0001", x.tls(x.cert.Chain), func(o *mqtt.ClientOptions) {
		o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.s.Revoke(context.Background(), "admin", "VT-0001", "stolen"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-lost:
	case <-time.After(patience):
		t.Error("the connection stays")
	}
}

func TestSubscriptionsAndTopics(t *testing.T) {
	b := startFleet(t)
	x := activated(t, b, "VT-0001")
	for _, filter := range []string{"#", "+/#", "pos/#", "pos/v1/acme/#", "pos/v1/acme/+/down/#", "pos/v1/acme/VT-0002/down/#",
		"pos/v1/acme/VT-0001/#", "pos/v1/acme/VT-0001/up/#", "pos/v1/acme/VT-0001/down/+", "$SYS/#", "$SYS/broker/version",
		"$share/g/pos/v1/acme/VT-0001/down/#", "boot/VT-0001/+", "boot/+/csr"} {
		if q := x.subscribe(filter); q != 0x80 {
			t.Errorf("%s: granted %x", filter, q)
		}
	}
	if q := x.subscribe(x.topic(wire.DownAck)); q != 1 {
		t.Errorf("own ack topic: %x", q)
	}
	boot := newTerminal(t, b, "VT-0002")
	if err := boot.connect(b.s.Addrs().Boot, wire.BootClientID("VT-0002", random(8)), &tls.Config{RootCAs: boot.roots()}, nil); err != nil {
		t.Fatal(err)
	}
	for _, filter := range []string{"#", "boot/#", "boot/+/certificate", "boot/VT-0001/+", "boot/VT-0002/#", "boot/VT-0002/csr", "pos/v1/acme/VT-0002/down/#"} {
		if q := boot.subscribe(filter); q != 0x80 {
			t.Errorf("bootstrap %s: granted %x", filter, q)
		}
	}
	for _, id := range []string{"acme/VT-0001", "VT-0001", "boot/VT-0001/xyz", ""} {
		y := newTerminal(t, b, "VT-0001")
		if err := y.connect(b.s.Addrs().Boot, id, &tls.Config{RootCAs: y.roots()}, nil); err == nil {
			t.Errorf("bootstrap client id %q is let in", id)
		}
	}
	// A message for another terminal's topic closes the connection and changes nothing.
	lost := make(chan error, 1)
	y := newTerminal(t, b, "VT-0001")
	y.cert, y.key, y.n = x.cert, x.key, x.n
	err := y.connect(y.cert.Broker, "acme/VT-0001", y.tls(y.cert.Chain), func(o *mqtt.ClientOptions) {
		o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	})
	if err != nil {
		t.Fatal(err)
	}
	body, _ := wire.Encode(sale("forged"))
	y.client.Publish(wire.Topic("acme", "VT-0002", wire.UpEvent), 1, false, body)
	select {
	case <-lost:
	case <-time.After(patience):
		t.Error("the connection stays")
	}
	if list, _ := b.s.Events("", 0, 0); len(list) != 0 {
		t.Errorf("forged event stored: %+v", list)
	}
}

// TestRestart: what was acknowledged is there after a restart, what is sent again is not stored twice, and the retained
// configuration is there for the first subscriber.
func TestRestart(t *testing.T) {
	b := startFleet(t)
	x := activated(t, b, "VT-0001")
	d, err := b.s.PushConfig(context.Background(), "admin", "VT-0001", config(b, "VT-0001"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		x.publish(x.topic(wire.UpEvent), sale(fmt.Sprint("t-", i)))
	}
	for range 20 {
		x.hear(x.topic(wire.DownAck), new(wire.Ack))
	}
	b.stop()
	b.start()
	if v, _, _, err := b.s.Terminal("VT-0001"); err != nil || v.Presence.Online {
		t.Errorf("online after a restart: %+v, %v", v.Presence, err)
	}

	// Only a subscription, no birth: what comes is the retained message.
	if err := x.connect(x.cert.Broker, "acme/VT-0001", x.tls(x.cert.Chain), nil); err != nil {
		t.Fatal(err)
	}
	x.subscribe(wire.DownFilter("acme", "VT-0001"))
	env, err := x.open(x.hearRaw(x.topic(wire.DownDesired)), 1)
	if err != nil || wire.Hash(env.Payload) != d.Hash {
		t.Fatalf("retained configuration: %v", err)
	}
	for i := range 22 {
		x.publish(x.topic(wire.UpEvent), sale(fmt.Sprint("t-", i)))
	}
	acked := map[string]bool{}
	for range 22 {
		var a wire.Ack
		x.hear(x.topic(wire.DownAck), &a)
		acked[a.IDs[0]] = true
	}
	list, err := b.s.Events("VT-0001", 0, 0)
	if err != nil || len(list) != 22 || len(acked) != 22 {
		t.Errorf("%d events, %d acknowledged, %v", len(list), len(acked), err)
	}
	if _, err := b.s.VerifyAudit(); err != nil {
		t.Error(err)
	}
}

func TestStalePresenceIsIgnored(t *testing.T) {
	b := startFleet(t)
	x := activated(t, b, "VT-0001")
	first := x.client
	x.client = nil // stays connected until it is taken over
	x.up()         // n = 2; the broker sends the will of n = 1
	x.publish(x.topic(wire.UpPresence), wire.Will(1))
	x.publish(x.topic(wire.UpEvent), sale("t-1")) // ordered after: when it is acknowledged, the will has been handled
	x.hear(x.topic(wire.DownAck), new(wire.Ack))
	if v, _, _, err := b.s.Terminal("VT-0001"); err != nil || v.Presence.N != 2 || !v.Presence.Online {
		t.Errorf("got %+v, %v", v.Presence, err)
	}
	first.Disconnect(0)
	x.publish(x.topic(wire.UpPresence), wire.Will(2))
	eventually(t, "offline", func() bool {
		v, _, _, _ := b.s.Terminal("VT-0001")
		return !v.Presence.Online && v.Presence.Firmware == "1.2.3"
	})
}

func TestBadMessages(t *testing.T) {
	b := startFleet(t)
	x := activated(t, b, "VT-0001")
	clear := strings.Replace(string(mustEncode(t, sale("t-clear"))), "622848******0000", "6228480000000000", 1)
	x.publishRaw(x.topic(wire.UpEvent), []byte(clear))
	var a wire.Ack
	x.hear(x.topic(wire.DownAck), &a)
	if len(a.Refused) != 1 || a.Refused[0].ID != "t-clear" || a.Refused[0].Path != "transaction.masked_pan" {
		t.Errorf("got %+v", a)
	}
	for _, body := range []string{"", "{", `{"id":7}`, `{"id":"a","id":"b"}`, strings.Repeat("[", 10_000), `{"id":"` + strings.Repeat("x", 60<<10) + `"}`} {
		for _, leaf := range []wire.Leaf{wire.UpPresence, wire.UpReported, wire.UpSync} {
			x.publishRaw(x.topic(leaf), []byte(body))
		}
	}
	x.publishRaw(x.topic(wire.UpEvent), []byte("{"))
	x.publish(x.topic(wire.UpEvent), sale("t-1"))
	x.hear(x.topic(wire.DownAck), &a)
	if len(a.IDs) != 1 || a.IDs[0] != "t-1" {
		t.Errorf("got %+v", a)
	}
	if list, _ := b.s.Events("", 0, 0); len(list) != 1 {
		t.Errorf("%d events", len(list))
	}
}

func mustEncode(t *testing.T, m wire.Message) []byte {
	t.Helper()
	body, err := wire.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestPushConfigRefuses(t *testing.T) {
	b := startFleet(t)
	b.enroll("VT-0001")
	ctx := context.Background()
	push := func(change func(*wire.Config)) (store.Desired, error) {
		c := config(b, "VT-0001")
		change(&c)
		return b.s.PushConfig(ctx, "admin", "VT-0001", c)
	}
	if d, err := push(func(c *wire.Config) { c.Revision = 5 }); err != nil || d.Revision != 5 {
		t.Fatalf("got %+v, %v", d, err)
	}
	for _, row := range []struct {
		name   string
		change func(*wire.Config)
		err    error
		text   string
	}{
		{"same revision", func(c *wire.Config) { c.Revision = 5 }, fleet.ErrRevision, "revision 5, last is 5"},
		{"a slip of the finger", func(c *wire.Config) { c.Revision = 1 << 63 }, fleet.ErrRevision, "revision 9223372036854775808"},
		{"the last number there is", func(c *wire.Config) { c.Revision = math.MaxUint64 }, fleet.ErrRevision, ""},
		{"lower revision", func(c *wire.Config) { c.Revision = 1 }, fleet.ErrRevision, ""},
		{"another merchant", func(c *wire.Config) { c.Merchant.ID = "103290055410002" }, fleet.ErrBinding, "merchant.id"},
		{"another terminal id", func(c *wire.Config) { c.TerminalID = "99999999" }, fleet.ErrBinding, "terminal_id"},
		{"bad field", func(c *wire.Config) { c.AIDs[0].TACOnline = "00" }, wire.ErrInvalid, "aids[0].tac_online"},
	} {
		if _, err := push(row.change); !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.text) {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
	if d, err := push(func(*wire.Config) {}); err != nil || d.Revision != 6 {
		t.Errorf("next: %+v, %v", d, err)
	}
	if _, err := b.s.PushConfig(ctx, "admin", "VT-9999", wire.Config{}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown serial: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, row := range []struct {
		name string
		o    fleet.Options
		err  error
	}{
		{"administration on every address", fleet.Options{HTTPAddr: "0.0.0.0:0"}, fleet.ErrNotLoopback},
		{"tenant", fleet.Options{Tenant: "A/B"}, nil},
		{"port", fleet.Options{MQTTAddr: "127.0.0.1:99999"}, nil},
	} {
		row.o.Dir = t.TempDir()
		s, err := fleet.Open(row.o)
		if err == nil {
			s.Close()
		}
		if err == nil || row.err != nil && !errors.Is(err, row.err) {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
	b := startFleet(t)
	if s, err := fleet.Open(fleet.Options{Dir: b.dir}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second fleet in the same folder: %v, %v", s, err)
	}
}
