package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/ota/wire"
)

// stepTimeout bounds the wait for one answer of an activation.
const stepTimeout = 20 * time.Second

// ErrNoAnswer reports an activation that the fleet did not answer.
var ErrNoAnswer = errors.New("link: fleet does not answer")

// BootOptions of one activation.
type BootOptions struct {
	Addr            string      // host:port of the bootstrap listener
	TLS             *tls.Config // the fleet's root; no client certificate
	Serial          string
	Model, Firmware string
	SPKISHA256      string                 // of the terminal's key, hex
	CSR             func() ([]byte, error) // PKCS #10, DER
	Code            string                 // as typed
	Log             *slog.Logger

	dial dialer
}

// Activate runs the bootstrap exchange once: hello, challenge, certificate
// request with the proof of the code, certificate. The code itself is not sent.
// A refusal of the fleet is a *wire.Refused; ErrNoAnswer if it stays silent.
func Activate(ctx context.Context, o BootOptions) (*wire.Certificate, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	codeKey, err := wire.CodeKey(o.Serial, o.Code)
	if err != nil {
		return nil, fmt.Errorf("activate: %w", err)
	}
	nonceT, err := nonce(wire.NonceBytes)
	if err != nil {
		return nil, fmt.Errorf("activate: %w", err)
	}
	x := &exchange{o: o, nonceT: nonceT, wires: newWires()}
	if err := x.connect(ctx); err != nil {
		return nil, fmt.Errorf("activate: %w", err)
	}
	defer x.client.Disconnect(uint(goodbye.Milliseconds()))
	certificate, err := x.run(ctx, codeKey)
	if err != nil {
		return nil, fmt.Errorf("activate: %w", err)
	}
	return certificate, nil
}

type exchange struct {
	o      BootOptions
	nonceT string
	client mqtt.Client
	wires
}

func (x *exchange) connect(ctx context.Context) error {
	id, err := nonce(wire.BootNonce / 2)
	if err != nil {
		return err
	}
	t := target{x.o.Addr, x.o.TLS, x.o.dial, x.o.Log}
	x.client, err = connect(ctx, t.options(ctx, wire.BootClientID(x.o.Serial, id), x.wires))
	if err != nil {
		return err
	}
	if err := subscribe(ctx, x.client, wire.BootFilter(x.o.Serial)); err != nil {
		x.client.Disconnect(0)
		return err
	}
	return nil
}

func (x *exchange) run(ctx context.Context, codeKey []byte) (*wire.Certificate, error) {
	hello := &wire.Hello{Serial: x.o.Serial, Model: x.o.Model, Firmware: x.o.Firmware, NonceT: x.nonceT, SPKISHA256: x.o.SPKISHA256}
	var challenge wire.Challenge
	err := x.ask(ctx, wire.BootHello, hello, wire.BootChallenge, func(body []byte) (string, error) {
		challenge = wire.Challenge{}
		err := wire.Decode(body, &challenge)
		return challenge.NonceT, err
	})
	if err != nil {
		return nil, err
	}
	proof, err := wire.CodeProof(codeKey, challenge.NonceF, x.nonceT, x.o.SPKISHA256)
	if err != nil {
		return nil, err
	}
	csr, err := x.o.CSR()
	if err != nil {
		return nil, err
	}
	var certificate wire.Certificate
	err = x.ask(ctx, wire.BootCSR, &wire.CSR{NonceT: x.nonceT, CSR: csr, CodeProof: proof}, wire.BootCertificate, func(body []byte) (string, error) {
		certificate = wire.Certificate{}
		err := wire.Decode(body, &certificate)
		return certificate.NonceT, err
	})
	if err != nil {
		return nil, err
	}
	return &certificate, nil
}

// ask publishes one message and waits for its answer, which read takes apart and
// tells the nonce of. Answers to another hello than ours, and messages that are
// none, are passed over.
func (x *exchange) ask(ctx context.Context, leaf wire.Leaf, m wire.Message, want wire.Leaf, read func(body []byte) (nonce string, err error)) error {
	body, err := wire.Encode(m)
	if err != nil {
		return err
	}
	if err := publish(ctx, x.client, wire.BootTopic(x.o.Serial, leaf), false, body); err != nil {
		return err
	}
	timer := time.NewTimer(stepTimeout)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-x.lost:
			return fmt.Errorf("wait for %s: %w: %w", want, ErrLost, err)
		case <-timer.C:
			return fmt.Errorf("wait for %s: %w", want, ErrNoAnswer)
		case got := <-x.in:
			got.ack()
			done, err := x.judge(got, want, read)
			if done || err != nil {
				return err
			}
		}
	}
}

// judge reports whether a message is the awaited answer, or gives the refusal.
func (x *exchange) judge(got inbound, want wire.Leaf, read func([]byte) (string, error)) (bool, error) {
	serial, leaf, err := wire.ParseBootTopic(got.topic)
	if err != nil || serial != x.o.Serial {
		return false, nil
	}
	switch leaf {
	case wire.BootRefused:
		var refused wire.Refused
		if err := wire.Decode(got.body, &refused); err == nil && (refused.NonceT == x.nonceT || refused.NonceT == "") {
			return false, &refused
		}
	case want:
		nonce, err := read(got.body)
		if err != nil {
			x.o.Log.Warn("answer ignored", "leaf", leaf, "err", err)
			return false, nil
		}
		return nonce == x.nonceT, nil
	}
	return false, nil
}

func nonce(n int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make nonce: %w", err)
	}
	return hex.EncodeToString(b), nil
}
