package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
)

const (
	journalPairs   = 400
	journalWriters = 8
	// journalTurn is how long eight writers write before the other log's turn.
	journalTurn = 300 * time.Millisecond
	// rawLaid is the size of a raw log that was laid out before, in bytes.
	rawLaid = 8 << 20
	// journalMax lets the journal's file grow through the whole run, in bytes.
	journalMax = 512 << 20
)

// measureJournal takes the durable half of a sale: enqueue (the record is pending)
// and ack (it has its outcome), beside the same number of bare syncs on the same
// disk. Each of the two is one commit of the store, and a commit is two syncs
// (pages, then the meta page that makes them count), so that four syncs are the
// least the journal can come to as it is built; the third line says how much is
// added to them. The bars are where a store with one sync a commit would be.
func measureJournal(ctx context.Context, b *bench) (lines []Line, err error) {
	key := make([]byte, 32)
	rand.Read(key)
	j, err := journal.Open(b.path("journal.db"), journal.Options{Key: key, MaxSize: journalMax})
	if err != nil {
		return nil, err
	}
	running, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- j.Run(running) }()
	defer func() {
		end()
		err = errors.Join(err, <-done, j.Close())
	}()
	grows, err := newRawFile(b.path("grows.log"), 0)
	if err != nil {
		return nil, err
	}
	defer grows.file.Close()
	laid, err := newRawFile(b.path("laid.log"), rawLaid)
	if err != nil {
		return nil, err
	}
	defer laid.file.Close()
	one, err := journalAlone(ctx, b, &seller{journal: j, name: "alone"}, grows, laid)
	if err != nil {
		return nil, err
	}
	eight, err := journalTogether(ctx, b, j, laid)
	return append(one, eight), err
}

func journalAlone(ctx context.Context, b *bench, s *seller, grows, laid *rawFile) ([]Line, error) {
	syncs := func(f *rawFile, n int) runner {
		return func() error {
			for range n {
				if err := f.write(1); err != nil {
					return err
				}
			}
			return nil
		}
	}
	took, err := alternate(ctx, journalPairs, func() error { return s.sell(ctx) }, syncs(grows, 2), syncs(laid, 2), syncs(laid, 4))
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"journal, enqueue + ack", "two syncs, growing file", "two syncs, laid-out file", "four syncs, laid-out file"} {
		b.say("%s: %s", name, spread(took[i]))
	}
	pair := Line{Name: "durable enqueue + ack, 1 writer, p50", Ours: Value{median(took[0]), Nanoseconds}}
	second, third := pair, pair
	second.Name, third.Name = "  the same", "  the same"
	return []Line{
		pair.beside("2 x bare pwrite + fdatasync, growing file", median(took[1]), 0).ratioAtMost(1.3),
		second.beside("2 x bare pwrite + fdatasync, file laid out before", median(took[2]), 0),
		third.beside("4 x the same: the syncs of two commits of the store", median(took[3]), 0),
	}, nil
}

// journalTogether lets eight writers use the journal and a raw log in turn.
func journalTogether(ctx context.Context, b *bench, j *journal.Journal, file *rawFile) (Line, error) {
	log := &rawLog{file, make(chan chan error)}
	ended := make(chan struct{})
	go func() { defer close(ended); log.run() }()
	defer func() { close(log.ops); <-ended }()

	var sellers, appenders []runner
	for w := range journalWriters {
		s := &seller{journal: j, name: fmt.Sprint("writer", w)}
		sellers = append(sellers, func() error { return s.sell(ctx) })
		answer := make(chan error, 1)
		appenders = append(appenders, func() error { return errors.Join(log.append(answer), log.append(answer)) })
	}
	var mine, raw, ratios []float64
	for range b.rounds {
		m, err := together(ctx, sellers)
		if err != nil {
			return Line{}, err
		}
		r, err := together(ctx, appenders)
		if err != nil {
			return Line{}, err
		}
		mine, raw, ratios = append(mine, m), append(raw, r), append(ratios, m/r)
	}
	b.say("%d writers: journal %.0f pairs/s, raw group commit %.0f pairs/s", journalWriters, 1e9/median(mine), 1e9/median(raw))
	l := Line{Name: "durable enqueue + ack, 8 writers, per pair", Ours: Value{median(mine), Nanoseconds}}
	return l.beside("raw log with group commit, 2 records a pair", median(raw), median(ratios)).ratioAtMost(2), nil
}

// together lets everybody work for a turn and gives the nanoseconds that one piece
// of work took the group.
func together(ctx context.Context, all []runner) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, journalTurn)
	defer cancel()
	var group sync.WaitGroup
	counts, errs := make([]int, len(all)), make([]error, len(all))
	began := time.Now()
	for i, do := range all {
		group.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				errs[i] = do()
				counts[i]++
			}
		})
	}
	group.Wait()
	took, total := time.Since(began), 0
	for _, n := range counts {
		total += n
	}
	return float64(took) / float64(total), errors.Join(errs...)
}

// seller keeps one sale after the other.
type seller struct {
	journal *journal.Journal
	name    string
	count   int
}

// sell is one pair: pending on disk, outcome on disk. What a terminal pays to
// build the request is part of it.
func (s *seller) sell(ctx context.Context) error {
	s.count++
	pan, err := payment.NewPAN(samplePAN)
	if err != nil {
		return err
	}
	track, err := payment.NewTrack2(samplePAN + "D30122011234567890")
	if err != nil {
		return err
	}
	rec, err := s.journal.Begin(ctx, journal.Draft{
		Requester: s.name, RequestID: fmt.Sprint(s.count),
		Request: payment.Request{
			Type: payment.Sale, Amount: 1234, Currency: payment.CNY, Time: time.Now(), TerminalID: "10000001", MerchantID: "103290055410001",
			Operator: "01", Entry: payment.Chip, PAN: pan, Expiry: "3012", PANSequence: "001", Track2: track, ICC: make([]byte, 153),
		},
		EMV: sampleRecord().EMV, CVM: journal.CVMOnlinePIN,
	})
	if err != nil {
		return err
	}
	_, err = s.journal.Finish(ctx, rec.ID, journal.Result{Event: journal.Approve,
		Response: payment.Response{Code: "00", RRN: "000000000042", AuthCode: "A1B2C3", Issuer: "01020000", CardOrg: "CUP", HostTime: rec.Time}})
	return err
}
