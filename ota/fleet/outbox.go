package fleet

import (
	"context"
	"errors"

	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// outbox is how many messages wait for the publisher; who adds one more waits.
const outbox = 1024

// outgoing is one message to one terminal.
type outgoing struct {
	boot   bool
	serial string
	leaf   wire.Leaf
	body   []byte // not for DownDesired
}

// send queues a message. After the publisher has ended it drops it: the terminal asks again.
func (s *Server) send(o outgoing) {
	select {
	case s.out <- o:
	case <-s.stopped:
	}
}

// publish is the one goroutine that speaks to terminals.
func (s *Server) publish(ctx context.Context) {
	defer close(s.stopped)
	for {
		select {
		case o := <-s.out:
			s.publishOne(o)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) publishOne(o outgoing) {
	var err error
	switch {
	case o.boot:
		err = s.broker.PublishBoot(o.serial, o.leaf, o.body)
	case o.leaf == wire.DownDesired:
		err = s.publishDesired(o.serial)
	default:
		err = s.broker.Publish(o.serial, o.leaf, o.body, false)
	}
	if err != nil {
		s.log.Warn("message not published", "serial", o.serial, "leaf", o.leaf, "err", err)
	}
}

// offer asks the publisher for the desired configuration of a serial.
func (s *Server) offer(serial string) { s.send(outgoing{serial: serial, leaf: wire.DownDesired}) }

// publishDesired publishes what the store holds now, retained: two pushes at once cannot leave the older one behind. A
// terminal that hears the same revision again ignores it.
func (s *Server) publishDesired(serial string) error {
	var d store.Desired
	err := s.store.View(func(tx store.Tx) (err error) {
		d, err = tx.Desired(serial)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.broker.Publish(serial, wire.DownDesired, d.Envelope, true)
}

// publishAll places the retained configurations before the first terminal is let in. Run calls it before the publisher
// starts.
func (s *Server) publishAll() error {
	return s.store.View(func(tx store.Tx) error {
		return each(tx, func(t store.Terminal) error {
			if t.DesiredRevision == 0 {
				return nil
			}
			d, err := tx.Desired(t.Serial)
			if err != nil {
				return err
			}
			return s.broker.Publish(t.Serial, wire.DownDesired, d.Envelope, true)
		})
	})
}
