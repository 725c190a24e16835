package hostsim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/acquirer/hostsim"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

const (
	tid = payment.TerminalID("10000001")
	mid = payment.MerchantID("898100000000001")
	pan = "6226097318460046" // synthetic, in a test range
	pin = "1234"
)

// tmk is a key made for these tests.
var tmk = []byte("\x31\x32\x34\x37\x38\x3b\x3d\x3e\x51\x52\x54\x57\x58\x5b\x5d\x5e")

type world struct {
	t    *testing.T
	host *hostsim.Host
	link *acquirer.Link
	pad  *keys.Software
	addr string
	stan payment.STAN
}

// start runs a host on loopback and signs a terminal in.
func start(t *testing.T, tune func(*hostsim.Config), store func(keys.Store) keys.Store) *world {
	t.Helper()
	p, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		t.Fatal(err)
	}
	hc := hostsim.Config{Profile: p, TMKs: map[payment.TerminalID][]byte{tid: tmk}, PINs: map[string]string{pan: pin}}
	if tune != nil {
		tune(&hc)
	}
	w := &world{t: t}
	if w.host, err = hostsim.New(hc); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.host.Serve(ctx, ln) }()
	if w.pad, err = keys.NewSoftware(tmk); err != nil {
		t.Fatal(err)
	}
	var s keys.Store = w.pad
	if store != nil {
		s = store(s)
	}
	w.link, err = acquirer.New(acquirer.Config{
		Profile: p, Addr: w.addr, TerminalID: tid, MerchantID: mid, Keys: s, Batch: 7,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	w.stan = 1
	if _, err := w.link.SignIn(t.Context(), w.stan); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) request(typ payment.Type, amount payment.Amount) payment.Request {
	w.t.Helper()
	w.stan = w.stan.Next()
	number, err := payment.NewPAN(pan)
	if err != nil {
		w.t.Fatal(err)
	}
	return payment.Request{
		Type: typ, Amount: amount, Currency: payment.CNY, STAN: w.stan, Batch: 7, Entry: payment.Chip,
		PAN: number, Expiry: "2512", PANSequence: "001", ICC: []byte{0x9F, 0x36, 2, 0, 1},
	}
}

func (w *world) withPIN(r payment.Request, digits string) payment.Request {
	w.t.Helper()
	block, err := w.pad.PINBlock(w.t.Context(), []byte(digits), pan)
	if err != nil {
		w.t.Fatal(err)
	}
	if r.PINBlock, err = payment.NewPINBlock(block[:]); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) want(r payment.Request, code payment.ResponseCode) payment.Response {
	w.t.Helper()
	resp, err := w.link.Authorize(w.t.Context(), r)
	if err != nil || resp.Code != code {
		w.t.Fatalf("%s %s: %+v, %v; want %s", r.Type, r.STAN, resp, err, code)
	}
	return resp
}

func (w *world) reverse(r payment.Request, code payment.ResponseCode) {
	w.t.Helper()
	resp, err := w.link.Reverse(w.t.Context(), payment.Reversal{Request: r, Reason: payment.ReasonNoReply})
	if err != nil || resp.Code != code {
		w.t.Fatalf("reversal of %s: %+v, %v; want %s", r.STAN, resp, err, code)
	}
}

func (w *world) states() (all []hostsim.State) {
	for _, e := range w.host.Ledger() {
		all = append(all, e.State)
	}
	return all
}

func (w *world) wantStates(want ...hostsim.State) {
	w.t.Helper()
	got := w.states()
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			w.t.Fatalf("ledger %v, want %v", got, want)
		}
	}
}

func TestRepeatedRequest(t *testing.T) {
	w := start(t, nil, nil)
	r := w.request(payment.Sale, 100)
	first := w.want(r, "00")
	if again := w.want(r, "00"); again.RRN != first.RRN || again.AuthCode != first.AuthCode {
		t.Errorf("repeated: %+v, first %+v", again, first)
	}
	r.Amount = 200
	w.want(r, "94")
	w.wantStates(hostsim.Applied)
	if l := w.host.Ledger(); l[0].Repeats != 1 || l[0].Amount != 100 || l[0].RRN != first.RRN {
		t.Errorf("entry %+v", l[0])
	}
}

func TestReversal(t *testing.T) {
	w := start(t, nil, nil)
	r := w.request(payment.Sale, 100)
	w.reverse(r, "25")
	w.want(r, "94") // the original arrives after its reversal: refused
	w.wantStates()
	r = w.request(payment.Sale, 100)
	w.want(r, "00")
	other := r
	other.Amount = 101
	w.reverse(other, "64")
	w.wantStates(hostsim.Applied)
	w.reverse(r, "00")
	w.reverse(r, "00")
	w.wantStates(hostsim.Reversed)
	if e := w.host.Ledger()[0]; e.Reason != payment.ReasonNoReply || e.ChangeAt.IsZero() {
		t.Errorf("entry %+v", e)
	}
	w.want(r, "00") // the same answer again, and still no effect
	w.wantStates(hostsim.Reversed)
}

func TestVoid(t *testing.T) {
	w := start(t, nil, nil)
	sale := w.request(payment.Sale, 100)
	resp := w.want(sale, "00")
	void := w.request(payment.Void, 100)
	void.Original = &payment.Original{Batch: 7, STAN: 999, Date: "0520", RRN: resp.RRN, AuthCode: resp.AuthCode}
	w.want(void, "25")
	void = w.request(payment.Void, 99)
	void.Original = &payment.Original{Batch: 7, STAN: sale.STAN, Date: "0520", RRN: resp.RRN, AuthCode: resp.AuthCode}
	w.want(void, "64")
	original := void.Original
	void = w.request(payment.Void, 100)
	void.Original = original
	w.want(void, "00")
	w.wantStates(hostsim.Voided, hostsim.Declined, hostsim.Declined, hostsim.Applied)
	w.reverse(sale, "12")
	again := w.request(payment.Void, 100)
	again.Original = original
	w.want(again, "12")
	w.reverse(void, "00")
	w.wantStates(hostsim.Applied, hostsim.Declined, hostsim.Declined, hostsim.Reversed, hostsim.Declined)
}

func TestPIN(t *testing.T) {
	w := start(t, nil, nil)
	w.want(w.withPIN(w.request(payment.Sale, 100), pin), "00")
	w.want(w.withPIN(w.request(payment.Sale, 100), "4321"), "55")
	r := w.request(payment.Sale, 100)
	r.PINBlock, _ = payment.NewPINBlock(make([]byte, 8))
	w.want(r, "99")
	w.wantStates(hostsim.Applied, hostsim.Declined, hostsim.Declined)
}

// issuer says what the test wants and keeps what it was asked.
type issuer struct {
	answer []byte
	ok     bool
	err    error
	asked  atomic.Pointer[string]
}

func (i *issuer) Authorise(pan, seq string, de55 []byte, arc [2]byte) ([]byte, bool, error) {
	s := pan + "/" + seq + "/" + string(de55) + "/" + string(arc[:])
	i.asked.Store(&s)
	return i.answer, i.ok, i.err
}

func TestIssuer(t *testing.T) {
	iss := &issuer{answer: []byte{0x91, 2, 0xAB, 0xCD}, ok: true}
	w := start(t, func(c *hostsim.Config) { c.Issuer = iss }, nil)
	if resp := w.want(w.request(payment.Sale, 100), "00"); string(resp.ICC) != string(iss.answer) {
		t.Errorf("field 55 % X", resp.ICC)
	}
	if got, want := *iss.asked.Load(), pan+"/001/\x9F\x36\x02\x00\x01/00"; got != want {
		t.Errorf("issuer asked %q, want %q", got, want)
	}
	if err := w.host.Post(hostsim.Rule{Action: hostsim.Decline, Code: "51"}); err != nil {
		t.Fatal(err)
	}
	w.want(w.request(payment.Sale, 100), "51")
	if got := *iss.asked.Load(); !strings.HasSuffix(got, "/51") {
		t.Errorf("issuer asked %q for a decline", got)
	}
	iss.ok = false
	w.want(w.request(payment.Sale, 100), "05")
	iss.err = errors.New("broken")
	w.want(w.request(payment.Sale, 100), "96")
	w.wantStates(hostsim.Applied, hostsim.Declined, hostsim.Declined, hostsim.Declined)
}

// spoil flips a bit of the next MAC made.
type spoil struct {
	keys.Store
	next bool
}

func (s *spoil) MAC(ctx context.Context, alg keys.MACAlgorithm, data []byte) ([8]byte, error) {
	mac, err := s.Store.MAC(ctx, alg, data)
	if s.next {
		s.next = false
		mac[3] ^= 1
	}
	return mac, err
}

func TestRefusals(t *testing.T) {
	s := new(spoil)
	w := start(t, nil, func(k keys.Store) keys.Store { s.Store = k; return s })
	s.next = true
	w.want(w.request(payment.Sale, 100), "A0")
	r := w.request(payment.Sale, 100)
	r.Batch = 8
	w.want(r, "77")
	w.reverse(r, "25") // of another batch: looked for all the same
	if err := w.host.Register(tid, tmk); err != nil {
		t.Fatal(err)
	}
	w.want(w.request(payment.Sale, 100), "A0") // signed off by the new master key
	w.wantStates()

	strangers := start(t, func(c *hostsim.Config) { c.Merchants = map[payment.TerminalID]payment.MerchantID{tid: mid} }, nil)
	p, _ := acquirer.Builtin("unionpay-pos")
	for _, row := range []struct {
		tid  payment.TerminalID
		mid  payment.MerchantID
		code payment.ResponseCode
	}{{"10000002", mid, "97"}, {tid, "898100000000002", "03"}} {
		link, err := acquirer.New(acquirer.Config{Profile: p, Addr: strangers.addr, TerminalID: row.tid, MerchantID: row.mid, Keys: w.pad})
		if err != nil {
			t.Fatal(err)
		}
		var refused *acquirer.RefusedError
		if _, err := link.SignIn(t.Context(), 1); !errors.As(err, &refused) || refused.Code != row.code {
			t.Errorf("terminal %s at %s: %v; want %s", row.tid, row.mid, err, row.code)
		}
	}
}

func TestBalanceAndRefund(t *testing.T) {
	w := start(t, nil, nil)
	w.want(w.request(payment.BalanceInquiry, 0), "00")
	w.want(w.request(payment.Refund, 50), "00")
	if _, err := w.link.Reverse(t.Context(), payment.Reversal{Request: w.request(payment.Refund, 50), Reason: payment.ReasonNoReply}); !errors.Is(err, acquirer.ErrNotSent) {
		t.Errorf("reversal of a refund: %v; want ErrNotSent", err)
	}
}

// TestHold: between applying and answering the ledger can be read, and the answer
// waits until it is let go.
func TestHold(t *testing.T) {
	w := start(t, nil, nil)
	held := make(chan hostsim.Entry)
	w.host.OnApplied(func(e hostsim.Entry) { held <- e; held <- e })
	type outcome struct {
		resp payment.Response
		err  error
	}
	answer := make(chan outcome, 1)
	r := w.request(payment.Sale, 100)
	go func() {
		resp, err := w.link.Authorize(t.Context(), r)
		answer <- outcome{resp, err}
	}()
	if e := <-held; e.STAN != r.STAN || e.State != hostsim.Applied {
		t.Errorf("applied %+v", e)
	}
	w.wantStates(hostsim.Applied)
	select {
	case o := <-answer:
		t.Fatalf("answered while held: %+v", o)
	default:
	}
	<-held
	if o := <-answer; o.err != nil || o.resp.Code != "00" {
		t.Errorf("after the hold: %+v", o)
	}
}

func TestWaitFor(t *testing.T) {
	w := start(t, nil, nil)
	r := w.request(payment.Sale, 100)
	done := make(chan error, 1)
	go func() { _, err := w.link.Authorize(t.Context(), r); done <- err }()
	err := w.host.WaitFor(t.Context(), func(l []hostsim.Entry) bool { return len(l) == 1 && l[0].STAN == r.STAN })
	if err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.host.WaitFor(ctx, func([]hostsim.Entry) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitFor of an ended context = %v", err)
	}
}

func TestScriptAndRules(t *testing.T) {
	w := start(t, nil, nil)
	w.host.Script(func(r hostsim.Request) hostsim.Action {
		if r.Amount == 5100 && r.Transaction == "sale" && !r.HasPIN && r.HasICC && r.PAN.Reveal() == pan {
			return hostsim.Action{Kind: hostsim.Decline, Code: "51"}
		}
		return hostsim.Action{}
	})
	w.want(w.request(payment.Sale, 5100), "51")
	w.want(w.request(payment.Sale, 100), "00")
	for _, bad := range []hostsim.Rule{{Action: "explode"}, {Action: hostsim.Decline, Code: "1"}} {
		if err := w.host.Post(bad); err == nil {
			t.Errorf("Post(%+v) passes", bad)
		}
	}
	if err := w.host.Post(hostsim.Rule{Action: hostsim.Decline, Code: "61", Amount: 100, Times: 2}); err != nil {
		t.Fatal(err)
	}
	w.want(w.request(payment.Sale, 101), "00")
	w.want(w.request(payment.Sale, 100), "61")
	w.want(w.request(payment.Sale, 100), "61")
	w.want(w.request(payment.Sale, 100), "00")
}

func TestLedgerHandler(t *testing.T) {
	w := start(t, nil, nil)
	srv := httptest.NewServer(w.host.LedgerHandler())
	defer srv.Close()
	post := func(body string) int {
		t.Helper()
		resp, err := http.Post(srv.URL+"/script", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for body, want := range map[string]int{
		`{"action": "decline", "code": "51"}`: http.StatusNoContent,
		`{"action": "explode"}`:               http.StatusBadRequest,
		`{"action": "drop", "when": 1}`:       http.StatusBadRequest,
		strings.Repeat(" ", 5000):             http.StatusBadRequest,
	} {
		if got := post(body); got != want {
			t.Errorf("POST %.40q = %d, want %d", body, got, want)
		}
	}
	w.want(w.request(payment.Sale, 100), "51")
	w.want(w.request(payment.Sale, 100), "00")
	resp, err := http.Get(srv.URL + "/ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct{ Entries []hostsim.Entry }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if len(got.Entries) != 2 || got.Entries[1].State != hostsim.Applied || strings.Contains(got.Entries[1].PAN, pan[6:12]) {
		t.Errorf("ledger %+v", got.Entries)
	}
	if age := time.Since(got.Entries[1].At); age < 0 {
		t.Errorf("entry of the future: %v", age)
	}
}

func TestNewRefuses(t *testing.T) {
	p, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]hostsim.Config{
		"no profile":   {},
		"key layout":   {Profile: p, KeyLayout: 56},
		"terminal id":  {Profile: p, TMKs: map[payment.TerminalID][]byte{"1": tmk}},
		"short master": {Profile: p, TMKs: map[payment.TerminalID][]byte{tid: tmk[:8]}},
	} {
		if _, err := hostsim.New(c); err == nil {
			t.Errorf("%s: New passes", name)
		}
	}
}
