package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"posagent/agent/control"
	"posagent/agent/emv/cardsim"
	"posagent/cmd/lab/house"
	"posagent/drivers/pinpad"
	"posagent/printer/thermal/thermalsim"
)

// memoryBar is the promise for resident memory after the sales, in bytes.
const memoryBar = 32e6

// measureMemory sells with a chip card and its PIN, the card put in and taken out
// each time, and then reads how much of terminald is in memory, and how much ever
// was. Both count the program's own file and the journal's map as far as they were
// touched.
func measureMemory(ctx context.Context, s *shop) ([]Line, error) {
	before, err := s.memory()
	if err != nil {
		return nil, err
	}
	card, err := cardsim.Open("online-pin")
	if err != nil {
		return nil, err
	}
	var all []float64
	for i := range s.b.sales {
		began := time.Now()
		if err := s.sale(ctx, card, fmt.Sprint("bench-", i)); err != nil {
			return nil, fmt.Errorf("sale %d: %w", i+1, err)
		}
		all = append(all, float64(time.Since(began)))
	}
	s.b.say("sale with chip and PIN, cardholder and printer without delay: %s", spread(all))
	after, err := s.memory()
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"VmRSS", "RssAnon", "RssFile", "VmHWM"} {
		s.b.say("%s: %.1f MB at start, %.1f MB after %d sales", key, before[key]/1e6, after[key]/1e6, s.b.sales)
	}
	return []Line{
		Line{Name: fmt.Sprintf("terminald resident after %d sales", s.b.sales), Ours: Value{after["VmRSS"], Bytes}}.atMost(memoryBar),
		Line{Name: "  the most it ever was (VmHWM)", Ours: Value{after["VmHWM"], Bytes}}.atMost(memoryBar),
	}, nil
}

// sale sells once, with a customer at the board.
func (s *shop) sale(ctx context.Context, card *cardsim.Card, id string) error {
	defer s.board.Slot.Remove()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	customer := make(chan error, 1)
	go func() { customer <- s.customer(ctx, card) }()
	answer, err := s.client.Sale(ctx, control.SaleRequest{RequestID: id, Amount: "12.34"})
	cancel()
	if customerErr := <-customer; err == nil {
		err = customerErr
	}
	if err == nil && answer.Outcome != "approved" {
		err = fmt.Errorf("outcome %s: %s %s", answer.Outcome, answer.Text, answer.Detail)
	}
	if paper := s.board.Paper.Tear(); err == nil && paper.Image.Height == 0 {
		err = errors.New("no receipt was printed")
	}
	s.board.Paper.Load(thermalsim.MaxRoll)
	return err
}

// customer does what the terminal asks for: card, then PIN. A card put in sooner
// would be taken for the last customer's.
func (s *shop) customer(ctx context.Context, card *cardsim.Card) error {
	if _, err := s.until(ctx, func(c control.Status) bool { return c.Screen == "insert_card" }); err != nil {
		return err
	}
	s.board.Slot.Insert(card)
	if err := house.Until(ctx, s.board.PINPad.InPINEntry); err != nil {
		return fmt.Errorf("wait until the pad asks for a PIN: %w", err)
	}
	for _, digit := range house.CardPIN {
		k, ok := pinpad.ParseKey(string(digit))
		if !ok {
			return fmt.Errorf("no key %q", digit)
		}
		s.board.PINPad.Press(k)
	}
	s.board.PINPad.Press(pinpad.Enter)
	return nil
}

// memory reads what the kernel says of terminald's memory, in bytes
// (proc(5), /proc/pid/status: "kB" are units of 1024 bytes).
func (s *shop) memory() (map[string]float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", s.child.Process.Pid))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		key, text, _ := strings.Cut(lines.Text(), ":")
		if number, ok := strings.CutSuffix(strings.TrimSpace(text), " kB"); ok {
			if all[key], err = strconv.ParseFloat(number, 64); err != nil {
				return nil, fmt.Errorf("read %s: %w", key, err)
			}
			all[key] *= 1024
		}
	}
	if all["VmRSS"] == 0 || all["VmHWM"] == 0 {
		return nil, fmt.Errorf("no VmRSS and VmHWM in %s", f.Name())
	}
	return all, nil
}
