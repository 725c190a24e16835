package link_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"posagent/agent/lifecycle"
	"posagent/agent/link"
	"posagent/ota/fleet"
	"posagent/ota/fleet/enroll"
	"posagent/ota/wire"
)

// once is an outbox with one event.
type once struct {
	event *wire.Event
	gone  chan *wire.Ack
	grown chan struct{}
}

func (o *once) Next(context.Context, int) ([]*wire.Event, error) {
	if o.event == nil {
		return nil, nil
	}
	return []*wire.Event{o.event}, nil
}

func (o *once) Acked(_ context.Context, ack *wire.Ack) error {
	o.event = nil
	o.gone <- ack
	return nil
}

func (o *once) Signal() <-chan struct{} { return o.grown }

// TestRealFleet goes the whole way with the fleet manager as it is: a wrong code,
// the right one, mutual TLS, an event that is stored and acknowledged.
func TestRealFleet(t *testing.T) {
	const serial = "PA000001"
	f, err := fleet.Open(fleet.Options{Dir: t.TempDir(), Tenant: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- f.Run(running) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("fleet ended with %v", err)
		}
		cancel()
	})
	code, err := f.Enroll(ctx, "admin", enroll.Application{Serial: serial, Model: "vt1", MerchantID: "103290055410001", TerminalID: "10000001"})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(f.RootPEM())
	life, err := lifecycle.Open(t.TempDir(), serial, roots)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := life.SPKISHA256()
	if err != nil {
		t.Fatal(err)
	}
	boot := link.BootOptions{Addr: f.Addrs().Boot, TLS: &tls.Config{RootCAs: roots}, Serial: serial, Model: "vt1", Firmware: "1",
		SPKISHA256: spki, CSR: life.CSR, Code: "0000-0000"}
	var refused *wire.Refused
	if _, err := link.Activate(ctx, boot); !errors.As(err, &refused) || refused.Reason != wire.ReasonCodeWrong || refused.TriesLeft != 4 {
		t.Fatalf("wrong code: %v (%+v)", err, refused)
	}
	boot.Code = code.Code
	certificate, err := link.Activate(ctx, boot)
	if err != nil {
		t.Fatal(err)
	}
	if err := life.Accept(certificate, time.Now()); err != nil {
		t.Fatal(err)
	}
	outbox := &once{gone: make(chan *wire.Ack, 1), grown: make(chan struct{}), event: &wire.Event{ID: "e1", Schema: wire.EventSchema,
		Kind: wire.EventDevice, LocalTime: time.Now(), Device: &wire.DeviceEvent{Code: "printer.paper_out", Severity: "warning"}}}
	l := link.New(link.Options{Tenant: certificate.Tenant, Serial: serial, Broker: certificate.Broker, Outbox: outbox,
		TLS:    &tls.Config{RootCAs: roots, GetClientCertificate: life.ClientCertificate, MinVersion: tls.VersionTLS13},
		Number: func() (uint64, error) { return 1, nil },
		Birth: func() *wire.Presence {
			return &wire.Presence{InstanceID: spki[:32], BootCount: 1, Model: "vt1", Firmware: "1", Schemas: &wire.Schemas{Config: 1, Event: 1},
				State: life.State(), Time: time.Now()}
		},
		Desired: func([]byte) wire.Reported { return wire.Reported{State: wire.ReportedRejected, Reason: "not here"} },
	})
	linkCtx, end := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- l.Run(linkCtx) }()
	select {
	case ack := <-outbox.gone:
		if len(ack.IDs) != 1 || ack.IDs[0] != "e1" {
			t.Errorf("acknowledged %+v", ack)
		}
	case <-ctx.Done():
		t.Error("no acknowledgement")
	}
	if !l.Online() {
		t.Error("not online")
	}
	end()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
	if events, err := f.Events(serial, 0, 10); err != nil || len(events) != 1 || events[0].Event.ID != "e1" {
		t.Errorf("the fleet has %+v, %v", events, err)
	}
}
