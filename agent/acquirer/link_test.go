package acquirer_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/acquirer/hostsim"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

func TestSession(t *testing.T) {
	for _, row := range []struct {
		name    string
		replace []string
		layout  int
		alg     string
	}{
		{"per exchange, 60 bytes of keys", nil, 60, ""},
		{"kept, 40 bytes of keys", kept, 40, ""},
		{"single length", nil, 24, ""},
		{"retail MAC", []string{"cup-ecb", "x9.19"}, 60, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, profile(t, row.replace...), func(c *hostsim.Config) { c.KeyLayout = row.layout })
				signed, err := w.link.SignIn(t.Context(), 1)
				if err != nil || signed.Batch != 7 || !signed.HostTime.Equal(when) {
					t.Fatalf("SignIn = %+v, %v", signed, err)
				}
				w.stan = 1
				r := w.sale(true)
				resp, err := w.link.Authorize(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				want := payment.Response{
					Code: "00", RRN: resp.RRN, AuthCode: resp.AuthCode, HostTime: when, Issuer: "01020000",
					Acquirer: "48020000", CardOrg: "CUP", Text: "交易成功",
				}
				if len(resp.RRN) != 12 || len(resp.AuthCode) != 6 || resp.ICC != nil {
					t.Errorf("response %+v", resp)
				}
				resp.ICC = nil
				if got := resp; got.RRN != want.RRN || got.Issuer != want.Issuer || got.Acquirer != want.Acquirer ||
					got.CardOrg != want.CardOrg || got.Text != want.Text || !got.HostTime.Equal(when) || got.Code != want.Code {
					t.Errorf("response %+v, want %+v", got, want)
				}
				if resp.SignAgain {
					t.Error("the header asks for nothing, SignAgain is set")
				}
				l := w.host.Ledger()
				if len(l) != 1 || l[0].State != hostsim.Applied || l[0].Amount != 1234 || l[0].STAN != r.STAN || l[0].PAN != r.PAN.Masked() {
					t.Errorf("ledger %+v", l)
				}
				if err := w.link.Echo(t.Context(), 90); err != nil {
					t.Error(err)
				}
				if err := w.link.SignOff(t.Context(), 91); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t), nil)
		var refused *acquirer.RefusedError
		if err := w.host.Post(hostsim.Rule{Action: hostsim.Decline, Code: "97", MTI: "0800"}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.link.SignIn(t.Context(), 1); !errors.As(err, &refused) || refused.Code != "97" {
			t.Errorf("SignIn = %v, want refusal 97", err)
		}
		if _, err := w.link.Authorize(t.Context(), w.sale(false)); !errors.Is(err, acquirer.ErrNotSent) || !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("Authorize without keys = %v, want ErrNotSent and ErrNoKey", err)
		}
		w.signIn()
		if err := w.host.Post(hostsim.Rule{Action: hostsim.Decline, Code: "51"}); err != nil {
			t.Fatal(err)
		}
		if resp, err := w.link.Authorize(t.Context(), w.sale(false)); err != nil || resp.Code != "51" || resp.AuthCode != "" {
			t.Errorf("declined: %+v, %v", resp, err)
		}
	})
}

// TestNotSent: what never left the terminal is ErrNotSent and nothing to reverse.
func TestNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t), nil)
		w.signIn()
		for _, row := range []struct {
			name  string
			spoil func(*payment.Request)
		}{
			{"amount zero", func(r *payment.Request) { r.Amount = 0 }},
			{"amount over twelve digits", func(r *payment.Request) { r.Amount = payment.MaxAmount + 1 }},
			{"no trace number", func(r *payment.Request) { r.STAN = 0 }},
			{"trace number too large", func(r *payment.Request) { r.STAN = payment.MaxSTAN + 1 }},
			{"no batch", func(r *payment.Request) { r.Batch = 0 }},
			{"no card", func(r *payment.Request) { r.PAN, r.Track2 = payment.PAN{}, payment.Track2{} }},
			{"another terminal", func(r *payment.Request) { r.TerminalID = "99999999" }},
			{"another merchant", func(r *payment.Request) { r.MerchantID = "999999999999999" }},
			{"unknown type", func(r *payment.Request) { r.Type = "gift" }},
			{"unknown entry mode", func(r *payment.Request) { r.Entry = "telepathy" }},
			{"currency", func(r *payment.Request) { r.Currency = payment.Currency{} }},
			{"expiry", func(r *payment.Request) { r.Expiry = "30/12" }},
			{"chip data", func(r *payment.Request) { r.ICC = make([]byte, 256) }},
		} {
			r := w.sale(false)
			row.spoil(&r)
			_, err := w.link.Authorize(t.Context(), r)
			if _, owed := acquirer.ReversalReason(err); owed || !errors.Is(err, acquirer.ErrNotSent) || errors.Is(err, acquirer.ErrInDoubt) {
				t.Errorf("%s: %v; want ErrNotSent", row.name, err)
			}
			w.noSecret(err.Error())
		}
		done, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := w.link.Authorize(done, w.sale(false)); !errors.Is(err, acquirer.ErrNotSent) || !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
		if _, err := w.link.Reverse(t.Context(), payment.Reversal{Request: w.sale(false), Reason: "77"}); !errors.Is(err, acquirer.ErrNotSent) {
			t.Errorf("reversal without a reason: %v", err)
		}
		if l := w.host.Ledger(); len(l) != 0 {
			t.Errorf("the host has seen %+v", l)
		}
	})
}

func TestConnectionRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	pad, err := keys.NewSoftware(tmk)
	if err != nil {
		t.Fatal(err)
	}
	link, err := acquirer.New(acquirer.Config{Profile: profile(t), Addr: addr, TerminalID: tid, MerchantID: mid, Keys: pad})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.SignIn(t.Context(), 1); !errors.Is(err, acquirer.ErrNotSent) {
		t.Errorf("SignIn = %v, want ErrNotSent", err)
	}
}

// TestOverTCP runs the same session over loopback, with the default dialler.
func TestOverTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	p := profile(t, kept...)
	host, err := hostsim.New(hostsim.Config{Profile: p, TMKs: map[payment.TerminalID][]byte{tid: tmk}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- host.Serve(ctx, ln) }()
	pad, err := keys.NewSoftware(tmk)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, pad: pad, host: host}
	link, err := acquirer.New(acquirer.Config{Profile: p, Addr: ln.Addr().String(), TerminalID: tid, MerchantID: mid, Keys: pad, Batch: 7})
	if err != nil {
		t.Fatal(err)
	}
	w.link = link
	w.signIn()
	for range 5 {
		if resp, err := link.Authorize(t.Context(), w.sale(true)); err != nil || resp.Code != "00" {
			t.Fatalf("Authorize = %+v, %v", resp, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve = %v", err)
	}
	if _, err := link.Authorize(t.Context(), w.sale(true)); !errors.Is(err, acquirer.ErrNotSent) {
		t.Errorf("the host has hung up and is gone: %v, want ErrNotSent", err)
	}
	if n := len(host.Ledger()); n != 5 {
		t.Errorf("%d ledger entries, want 5", n)
	}
}

// TestLateAnswerNeverEndsAReversal: the 0200 times out; its 0210 arrives when
// the 0400 with the same trace number is waiting. It must not be taken for the
// 0410, or the sale would stay at the host and count as undone here.
func TestLateAnswerNeverEndsAReversal(t *testing.T) {
	for name, replace := range map[string][]string{"kept": kept, "per exchange": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, profile(t, replace...), nil)
				w.signIn()
				for range 20 {
					if err := w.host.Post(hostsim.Rule{Action: hostsim.Late}); err != nil {
						t.Fatal(err)
					}
					r := w.sale(false)
					_, err := w.link.Authorize(t.Context(), r)
					if reason, owed := acquirer.ReversalReason(err); !owed || reason != payment.ReasonNoReply || !errors.Is(err, acquirer.ErrNoResponse) {
						t.Fatalf("Authorize = %v; want ErrNoResponse", err)
					}
					w.foreign = nil
					resp, err := w.link.Reverse(t.Context(), payment.Reversal{Request: r, Reason: payment.ReasonNoReply})
					if err != nil || resp.Code != "00" {
						t.Fatalf("Reverse = %+v, %v", resp, err)
					}
					if len(w.foreign) != 1 || w.foreign[0] != "message type 0210" {
						t.Fatalf("foreign messages %q; want the late 0210", w.foreign)
					}
					l := w.host.Ledger()
					if e := l[len(l)-1]; e.STAN != r.STAN || e.State != hostsim.Reversed {
						t.Fatalf("ledger says %+v", e)
					}
				}
			})
		})
	}
}

// TestFaults: whatever the host does to the answer, the outcome is a doubt of
// the right kind, and the reversal brings the ledger in line.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		kind    hostsim.Kind
		want    error
		foreign string
		after   payment.ResponseCode // of the reversal
	}{
		{hostsim.Lose, acquirer.ErrNoResponse, "", "25"},
		{hostsim.CloseBefore, acquirer.ErrNoResponse, "", "25"},
		{hostsim.Drop, acquirer.ErrNoResponse, "", "00"},
		{hostsim.CloseAfter, acquirer.ErrNoResponse, "", "00"},
		{hostsim.WrongMAC, acquirer.ErrBadMAC, "MAC", "00"},
		{hostsim.NoMAC, acquirer.ErrBadMAC, "MAC", "00"},
		{hostsim.ForgeSTAN, acquirer.ErrNoResponse, "field 11 differs", "00"},
		{hostsim.Truncate, acquirer.ErrNoResponse, "field 64 at byte 130: is cut short", "00"},
		{hostsim.Cut, acquirer.ErrFrameTruncated, "", "00"},
		{hostsim.Garbage, acquirer.ErrFrameOversized, "", "00"},
	} {
		t.Run(string(row.kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, profile(t), nil)
				w.signIn()
				if err := w.host.Post(hostsim.Rule{Action: row.kind}); err != nil {
					t.Fatal(err)
				}
				r := w.sale(false)
				_, err := w.link.Authorize(t.Context(), r)
				reason, owed := acquirer.ReversalReason(err)
				if !errors.Is(err, row.want) || !errors.Is(err, acquirer.ErrInDoubt) || !owed {
					t.Fatalf("Authorize = %v; want %v", err, row.want)
				}
				if (reason == payment.ReasonBadMAC) != errors.Is(err, acquirer.ErrBadMAC) {
					t.Errorf("reversal reason %s for %v", reason, err)
				}
				if got := strings.Join(w.foreign, ";"); got != row.foreign {
					t.Errorf("foreign %q, want %q", got, row.foreign)
				}
				for range 2 { // a reversal may be repeated
					resp, err := w.link.Reverse(t.Context(), payment.Reversal{Request: r, Reason: reason})
					if err != nil || resp.Code != row.after || !resp.Code.ReversalDone() {
						t.Fatalf("Reverse = %+v, %v; want %s", resp, err, row.after)
					}
				}
				for _, e := range w.host.Ledger() {
					if e.State == hostsim.Applied {
						t.Errorf("still applied: %+v", e)
					}
				}
			})
		})
	}
}

func TestSlowHost(t *testing.T) {
	for _, row := range []struct {
		name  string
		every uint32 // ms between bytes; an answer has about 150
		want  error
	}{
		{"in time", 100, nil},
		{"one byte a second", 1000, acquirer.ErrNoResponse},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, profile(t), nil)
				w.signIn()
				if err := w.host.Post(hostsim.Rule{Action: hostsim.Dribble, DelayMS: row.every}); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				resp, err := w.link.Authorize(t.Context(), w.sale(false))
				if !errors.Is(err, row.want) || err == nil && resp.Code != "00" {
					t.Fatalf("Authorize = %+v, %v; want %v", resp, err, row.want)
				}
				if spent := time.Since(began); spent > time.Minute {
					t.Errorf("waited %v, over the response timer", spent)
				}
			})
		})
	}
}

// TestDuplicateOnKeptLine: the second copy of an answer lies in wait for the next
// request, and is found and ignored.
func TestDuplicateOnKeptLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t, kept...), nil)
		w.signIn()
		for i := range 3 {
			if err := w.host.Post(hostsim.Rule{Action: hostsim.Duplicate}); err != nil {
				t.Fatal(err)
			}
			if resp, err := w.link.Authorize(t.Context(), w.sale(false)); err != nil || resp.Code != "00" {
				t.Fatalf("Authorize = %+v, %v", resp, err)
			}
			if len(w.foreign) != i {
				t.Fatalf("foreign messages %q before sale %d", w.foreign, i+1)
			}
		}
	})
}

// TestCancelAfterSend: a context that ends while the answer is awaited leaves a
// doubt, at once.
func TestCancelAfterSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t), nil)
		w.signIn()
		ctx, cancel := context.WithCancel(t.Context())
		w.host.OnApplied(func(hostsim.Entry) { cancel(); synctest.Wait() })
		began := time.Now()
		_, err := w.link.Authorize(ctx, w.sale(false))
		if !errors.Is(err, acquirer.ErrNoResponse) || !errors.Is(err, context.Canceled) {
			t.Errorf("Authorize = %v; want ErrNoResponse and Canceled", err)
		}
		if time.Since(began) != 0 {
			t.Errorf("waited %v", time.Since(began))
		}
	})
}

// TestOneInFlight: a second request waits, and gives up with its context without
// having been sent.
func TestOneInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t), nil)
		w.signIn()
		held := make(chan struct{})
		w.host.OnApplied(func(hostsim.Entry) { <-held })
		first := make(chan error, 1)
		r := w.sale(false)
		go func() { _, err := w.link.Authorize(t.Context(), r); first <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.link.Echo(ctx, 80); !errors.Is(err, acquirer.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Echo on a busy line = %v", err)
		}
		close(held)
		if err := <-first; err != nil {
			t.Errorf("the answer held back: %v", err)
		}
	})
}
