package link

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/ota/wire"
)

var (
	spki   = strings.Repeat("0b", 32)
	nonceF = strings.Repeat("0c", wire.NonceBytes)
	other  = strings.Repeat("0d", wire.NonceBytes)
)

// office is a fleet's end of the bootstrap listener, played by the test.
type office struct {
	*broker
	nonce string // of the hello
}

func (o *office) hear(leaf wire.Leaf, m wire.Message) {
	o.t.Helper()
	for {
		s := o.next()
		if s.what != "publish" || s.topic != wire.BootTopic(serial, leaf) {
			continue
		}
		if err := wire.Decode(s.body, m); err != nil {
			o.t.Fatalf("%s: %v", leaf, err)
		}
		return
	}
}

func (o *office) say(leaf wire.Leaf, m wire.Message) {
	o.t.Helper()
	body, err := wire.Encode(m)
	if err != nil {
		o.t.Fatal(err)
	}
	o.tellRaw(wire.BootTopic(serial, leaf), body)
}

func (o *office) challenge(nonceT, nonceF string) *wire.Challenge {
	return &wire.Challenge{NonceT: nonceT, NonceF: nonceF, State: wire.StateApproved, ServerTime: time.Now()}
}

func (o *office) certificate(nonceT string, state wire.State) *wire.Certificate {
	key := make([]byte, 32)
	return &wire.Certificate{NonceT: nonceT, Serial: serial, Tenant: tenant, Chain: "-----BEGIN CERTIFICATE-----\n", Broker: "fleet.test:8883",
		Signers: []wire.Signer{{KeyID: wire.KeyID(key), Key: key}}, State: state}
}

// hello takes the first step well.
func (o *office) hello() {
	var h wire.Hello
	o.hear(wire.BootHello, &h)
	if h.Serial != serial || h.SPKISHA256 != spki || h.Model != "vt1" {
		o.t.Errorf("hello is %+v", h)
	}
	o.nonce = h.NonceT
}

func TestActivate(t *testing.T) {
	key, err := wire.CodeKey(serial, "ABCD-1234")
	if err != nil {
		t.Fatal(err)
	}
	proven := func(o *office, csr wire.CSR) bool {
		want, err := wire.CodeProof(key, nonceF, o.nonce, spki)
		return err == nil && csr.CodeProof == want && string(csr.CSR) == "der" && csr.NonceT == o.nonce
	}
	for _, row := range []struct {
		name  string
		code  string
		fleet func(*office)
		check func(*wire.Certificate, error) bool
		most  time.Duration // virtual
	}{
		{"right code", "abcd1234", func(o *office) {
			o.hello()
			o.say(wire.BootChallenge, o.challenge(o.nonce, nonceF))
			var csr wire.CSR
			o.hear(wire.BootCSR, &csr)
			if !proven(o, csr) {
				o.t.Errorf("request %+v does not prove the code", csr)
			}
			o.say(wire.BootCertificate, o.certificate(o.nonce, wire.StateActive))
		}, func(c *wire.Certificate, err error) bool {
			return err == nil && c.State == wire.StateActive && c.Tenant == tenant
		}, 0},
		{"wrong code", "ABCD-1235", func(o *office) {
			o.hello()
			o.say(wire.BootChallenge, o.challenge(o.nonce, nonceF))
			var csr wire.CSR
			o.hear(wire.BootCSR, &csr)
			if proven(o, csr) {
				o.t.Error("a wrong code proves the right one")
			}
			o.say(wire.BootRefused, &wire.Refused{NonceT: o.nonce, Reason: wire.ReasonCodeWrong, TriesLeft: 4})
		}, func(_ *wire.Certificate, err error) bool {
			var r *wire.Refused
			return errors.As(err, &r) && r.Reason == wire.ReasonCodeWrong && r.TriesLeft == 4
		}, 0},
		{"refused at once", "ABCD-1234", func(o *office) {
			o.hello()
			o.say(wire.BootRefused, &wire.Refused{Reason: wire.ReasonProtocol}) // the fleet could not read the nonce
		}, func(_ *wire.Certificate, err error) bool {
			var r *wire.Refused
			return errors.As(err, &r) && r.Reason == wire.ReasonProtocol
		}, 0},
		{"answers to others and rubbish", "ABCD-1234", func(o *office) {
			o.hello()
			o.tellRaw(wire.BootTopic(serial, wire.BootChallenge), []byte("rubbish"))
			o.tellRaw(wire.BootTopic(serial, "unknown"), []byte("{}"))
			o.say(wire.BootChallenge, o.challenge(other, other))
			o.say(wire.BootRefused, &wire.Refused{NonceT: other, Reason: wire.ReasonCodeWrong})
			// It lacks nonce_f: a reader that keeps the last message's would go on with it.
			o.tellRaw(wire.BootTopic(serial, wire.BootChallenge), []byte(`{"nonce_t":"`+o.nonce+`","state":"APPROVED","server_time":"2026-01-01T00:00:00Z"}`))
			o.say(wire.BootChallenge, o.challenge(o.nonce, nonceF))
			var csr wire.CSR
			o.hear(wire.BootCSR, &csr)
			if !proven(o, csr) {
				o.t.Errorf("request %+v does not prove the code", csr)
			}
			o.say(wire.BootChallenge, o.challenge(o.nonce, nonceF)) // again: no answer to a request
			o.say(wire.BootCertificate, o.certificate(other, wire.StateRetired))
			o.say(wire.BootCertificate, o.certificate(o.nonce, wire.StateTesting))
		}, func(c *wire.Certificate, err error) bool { return err == nil && c.State == wire.StateTesting }, 0},
		{"silent fleet", "ABCD-1234", func(o *office) { o.hello() },
			func(_ *wire.Certificate, err error) bool {
				return errors.Is(err, ErrNoAnswer) && strings.Contains(err.Error(), "challenge")
			}, stepTimeout},
		{"silent after the request", "ABCD-1234", func(o *office) {
			o.hello()
			o.say(wire.BootChallenge, o.challenge(o.nonce, nonceF))
		}, func(_ *wire.Certificate, err error) bool {
			return errors.Is(err, ErrNoAnswer) && strings.Contains(err.Error(), "certificate")
		}, stepTimeout},
		{"talks about other things for ever", "ABCD-1234", func(o *office) {
			o.hello()
			for range 90 {
				o.say(wire.BootChallenge, o.challenge(other, nonceF))
				time.Sleep(time.Second) // of the bubble
			}
		}, func(_ *wire.Certificate, err error) bool { return errors.Is(err, ErrNoAnswer) }, stepTimeout},
		{"cut", "ABCD-1234", func(o *office) {
			o.hello()
			o.cut()
		}, func(_ *wire.Certificate, err error) bool { return errors.Is(err, ErrLost) }, 0},
		{"no code at all", "", func(*office) {}, func(_ *wire.Certificate, err error) bool { return len(wire.FieldErrors(err)) == 1 }, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &office{broker: startBroker(t)}
				played := make(chan struct{})
				began := time.Now()
				go func() { defer close(played); row.fleet(o) }()
				c, err := Activate(t.Context(), BootOptions{Addr: "fleet.test:8884", TLS: &tls.Config{RootCAs: o.roots}, Serial: serial, Model: "vt1",
					Firmware: "1", SPKISHA256: spki, CSR: func() ([]byte, error) { return []byte("der"), nil }, Code: row.code, dial: o.dial})
				if !row.check(c, err) {
					t.Errorf("Activate = %+v, %v", c, err)
				}
				if d := time.Since(began); d > row.most+goodbye {
					t.Errorf("it took %v, want at most %v", d, row.most+goodbye)
				}
				<-played
				var bodies []byte
				for len(o.said) > 0 {
					bodies = append(bodies, o.next().body...)
				}
				if slices.Contains([]string{"ABCD-1234", "abcd1234"}, row.code) && strings.Contains(strings.ToUpper(string(bodies)), "ABCD") {
					t.Error("the code itself went over the wire")
				}
			})
		})
	}
}

func TestActivateEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{broker: startBroker(t)}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			o.hello()
			cancel()
		}()
		_, err := Activate(ctx, BootOptions{Addr: "fleet.test:8884", TLS: &tls.Config{RootCAs: o.roots}, Serial: serial, Model: "vt1",
			Firmware: "1", SPKISHA256: spki, Code: "ABCD-1234", dial: o.dial})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Activate = %v", err)
		}
	})
}

func TestAnswerOfAnotherTerminal(t *testing.T) {
	x := &exchange{o: BootOptions{Serial: serial}}
	for _, leaf := range []wire.Leaf{wire.BootCertificate, wire.BootRefused} {
		got := inbound{topic: wire.BootTopic("PA000002", leaf), body: []byte(`{"reason":"code_wrong"}`)}
		if done, err := x.judge(got, wire.BootCertificate, func([]byte) (string, error) { return "", nil }); done || err != nil {
			t.Errorf("%s of another terminal = %v, %v", leaf, done, err)
		}
	}
}
