package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// Peer is who speaks on the bootstrap listener.
type Peer struct {
	Client string // MQTT client id: one connection
	Serial string // as the topic says
	Remote string // address without port
}

// Hello answers with a *wire.Challenge or a *wire.Refused.
func (d *Desk) Hello(ctx context.Context, peer Peer, h *wire.Hello) (wire.Message, error) {
	now := d.now()
	if !d.limit.allow(now, peer.Remote, peer.Serial) {
		return refuse(h.NonceT, wire.ReasonRate, "", withRetry(60)), nil
	}
	if h.Serial != peer.Serial {
		return refuse(h.NonceT, wire.ReasonProtocol, "serial differs from the topic's"), nil
	}
	var t store.Terminal
	err := d.store.View(func(tx store.Tx) (err error) {
		t, err = tx.Terminal(h.Serial)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return refuse(h.NonceT, wire.ReasonUnknownSerial, ""), nil
	}
	if err != nil {
		return refuse(h.NonceT, wire.ReasonInternal, "", withRetry(60)), fmt.Errorf("hello of %s: %w", h.Serial, err)
	}
	raw := make([]byte, wire.NonceBytes)
	rand.Read(raw) // never fails
	x := exchange{serial: h.Serial, nonceT: h.NonceT, nonceF: hex.EncodeToString(raw), spki: h.SPKISHA256, until: now.Add(exchangeLife)}
	if !d.pending.put(peer.Client, x, now) {
		return refuse(h.NonceT, wire.ReasonRate, "too many open exchanges", withRetry(60)), nil
	}
	return &wire.Challenge{NonceT: h.NonceT, NonceF: x.nonceF, State: t.State, ServerTime: now.UTC().Truncate(time.Second)}, nil
}

// CSR answers with a *wire.Certificate or a *wire.Refused. A wrong code leaves the challenge open for the next try.
func (d *Desk) CSR(ctx context.Context, peer Peer, m *wire.CSR) (wire.Message, error) {
	now := d.now()
	if !d.limit.allow(now, peer.Remote, peer.Serial) {
		return refuse(m.NonceT, wire.ReasonRate, "", withRetry(60)), nil
	}
	x, ok := d.pending.find(peer.Client, now)
	if !ok || x.nonceT != m.NonceT || x.serial != peer.Serial {
		return refuse(m.NonceT, wire.ReasonProtocol, "no open challenge: say hello again"), nil
	}
	key, refusal := requestKey(m, x)
	if refusal != nil {
		return refusal, nil
	}
	answer, err := d.redeem(ctx, peer, m, x, key)
	if err != nil {
		return refuse(m.NonceT, wire.ReasonInternal, "", withRetry(60)), fmt.Errorf("certificate request of %s: %w", x.serial, err)
	}
	if _, done := answer.(*wire.Certificate); done {
		d.pending.drop(peer.Client)
	}
	return answer, nil
}

// requestKey checks that the request proves possession of the P-256 key of the hello (PKCS #10, RFC 2986, 4.2). The
// request's subject is not looked at.
func requestKey(m *wire.CSR, x exchange) (*ecdsa.PublicKey, *wire.Refused) {
	req, err := x509.ParseCertificateRequest(m.CSR)
	if err != nil {
		return nil, refuse(m.NonceT, wire.ReasonCSR, "not a PKCS 10 request")
	}
	key, ok := req.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, refuse(m.NonceT, wire.ReasonCSR, "key is not P-256")
	}
	if err := req.CheckSignature(); err != nil {
		return nil, refuse(m.NonceT, wire.ReasonCSR, "signature does not fit the key")
	}
	if spki, err := SPKI(key); err != nil || spki != x.spki {
		return nil, refuse(m.NonceT, wire.ReasonKey, "")
	}
	return key, nil
}

// redeem uses the code and records the certificate in one transaction. It may run more than once.
func (d *Desk) redeem(ctx context.Context, peer Peer, m *wire.CSR, x exchange, key *ecdsa.PublicKey) (answer wire.Message, err error) {
	now := d.now().UTC()
	err = d.store.Update(ctx, func(tx store.Tx) error {
		t, err := tx.Terminal(x.serial)
		if errors.Is(err, store.ErrNotFound) {
			answer = refuse(m.NonceT, wire.ReasonUnknownSerial, "")
			return nil
		}
		if err != nil {
			return err
		}
		tries := wrongTries(t)
		verdict, err := judge(&t, m, x, now)
		if err != nil {
			return err
		}
		if verdict != nil {
			answer = verdict
			if wrongTries(t) == tries && verdict.Reason != wire.ReasonCodeUsed {
				return nil // nothing was learnt: a stranger shall not fill the audit trail
			}
			return errors.Join(tx.PutTerminal(t), d.audit(tx, "terminal", "activation.refused", x.serial, map[string]string{
				"reason": string(verdict.Reason), "remote": peer.Remote, "key": x.spki[:16]}))
		}
		cert, err := d.certify(tx, &t, x.spki, key, now)
		if err != nil {
			return err
		}
		answer = &wire.Certificate{NonceT: m.NonceT, Serial: t.Serial, Tenant: d.tenant, Chain: cert.Chain, Broker: d.broker(),
			Signers: d.authority.Signers(), State: t.State}
		return d.audit(tx, "terminal", "certificate.issued", t.Serial, map[string]string{
			"fingerprint": cert.Fingerprint, "not_after": cert.NotAfter.Format(time.RFC3339), "remote": peer.Remote})
	})
	return answer, err
}

// judge checks state and code, and counts a wrong proof in t. Nil lets the request pass.
func judge(t *store.Terminal, m *wire.CSR, x exchange, now time.Time) (*wire.Refused, error) {
	no := func(reason wire.Reason) (*wire.Refused, error) { return refuse(m.NonceT, reason, ""), nil }
	if !mayActivate(t.State) {
		return no(wire.ReasonNotApproved)
	}
	c := t.Code
	switch {
	case c == nil:
		return no(wire.ReasonNoCode)
	case c.Tries >= CodeTries:
		return no(wire.ReasonCodeLocked)
	case now.After(c.Expires):
		return no(wire.ReasonCodeExpired)
	}
	want, err := wire.CodeProof(c.Key, x.nonceF, x.nonceT, x.spki)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal([]byte(want), []byte(m.CodeProof)) {
		c.Tries++
		if c.Tries >= CodeTries {
			return no(wire.ReasonCodeLocked)
		}
		r := refuse(m.NonceT, wire.ReasonCodeWrong, "")
		r.TriesLeft = CodeTries - c.Tries
		return r, nil
	}
	if c.UsedBy != "" && c.UsedBy != x.spki {
		return no(wire.ReasonCodeUsed)
	}
	return nil, nil
}

func wrongTries(t store.Terminal) uint32 {
	if t.Code == nil {
		return 0
	}
	return t.Code.Tries
}

// certify issues and records a certificate, or returns the one that this code has bought already.
func (d *Desk) certify(tx store.Tx, t *store.Terminal, spki string, key *ecdsa.PublicKey, now time.Time) (store.Cert, error) {
	if t.Code.UsedBy == spki {
		for _, cert := range t.Certs {
			if cert.SPKI == spki {
				return cert, nil
			}
		}
	}
	leaf, chain, err := d.authority.Issue(d.tenant, t.Serial, key)
	if err != nil {
		return store.Cert{}, err
	}
	sum := sha256.Sum256(leaf.Raw)
	cert := store.Cert{Fingerprint: hex.EncodeToString(sum[:]), SPKI: spki, NotAfter: leaf.NotAfter, Chain: chain}
	t.Certs = []store.Cert{cert} // an older machine under this serial is out
	t.Code.UsedBy = spki
	t.State, t.Since = wire.StateActive, now
	t.Presence, t.Reported = nil, nil // a new storage counts its connections from 1
	return cert, tx.PutTerminal(*t)
}

func refuse(nonceT string, reason wire.Reason, detail string, more ...func(*wire.Refused)) *wire.Refused {
	r := &wire.Refused{NonceT: nonceT, Reason: reason, Detail: detail}
	for _, m := range more {
		m(r)
	}
	return r
}

func withRetry(seconds uint32) func(*wire.Refused) {
	return func(r *wire.Refused) { r.RetryAfterS = seconds }
}
