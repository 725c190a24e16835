package agent

import (
	"context"
	"errors"
	"image"
	"reflect"
	"slices"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/config"
	"posagent/agent/journal"
	"posagent/agent/lifecycle"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/screen"
	"posagent/agent/transaction"
	"posagent/drivers/board"
	"posagent/ota/wire"
)

// Times of the lane.
const (
	// tick is how often an idle terminal looks after what is owed.
	tick = 5 * time.Second
	// retryCap bounds the wait between attempts to reach the host while idle.
	retryCap = 5 * time.Minute
	// resultHold is how long a result stays on the screen of an idle terminal.
	resultHold = 8 * time.Second
)

// lane is the state of the one goroutine that owns runner, menu and card slot.
type lane struct {
	menu    operator.Machine
	work    *work
	host    *acquirer.Link
	img     *image.Paletted
	retryAt time.Time     // next idle attempt at the host
	retryIn time.Duration // its present back-off
}

// runLane is the terminal's main loop.
func (a *Agent) runLane(ctx context.Context) error {
	defer close(a.stopped)
	l := &a.lane
	a.say("starting", operator.Busy)
	if err := a.runner.Recover(ctx); err != nil {
		return err
	}
	if a.conf.Staged() {
		signal(a.staged)
	}
	a.adopt(a.conf.Current())
	a.care(ctx)
	idle := time.NewTimer(tick)
	defer idle.Stop()
	menu := time.NewTimer(operator.IdleAfter)
	defer menu.Stop()
	a.refresh()
	for {
		wait := tick
		select {
		case <-ctx.Done():
			if l.host != nil {
				return l.host.Close()
			}
			return nil
		case k := <-a.keys:
			menu.Reset(operator.IdleAfter)
			if a.press(ctx, k) {
				wait = resultHold
			}
		case job := <-a.jobs:
			job(ctx)
			wait = resultHold
		case <-a.staged:
			a.applyConfig()
			a.care(ctx)
			a.refresh()
		case <-menu.C:
			l.menu, _ = l.menu.Step(operator.Event{Timeout: true})
			a.refresh()
		case <-idle.C:
			a.care(ctx)
			if l.menu.State == operator.StateIdle {
				a.refresh()
			}
		}
		idle.Reset(wait)
	}
}

// press gives a key to the menu and does what comes of it. It reports whether a
// result now stands on the screen.
func (a *Agent) press(ctx context.Context, k operator.Key) bool {
	l := &a.lane
	var act operator.Act
	l.menu, act = l.menu.Step(operator.Press(k))
	switch act.Kind {
	case operator.ActSale:
		a.sell(ctx, transaction.Sale{Requester: "operator", RequestID: a.requestID(), Amount: act.Amount})
		return true
	case operator.ActLast:
		l.menu.Last = a.lastLines()
	case operator.ActReprint:
		a.reprintLast(ctx)
		return true
	}
	a.refresh()
	return false
}

// requestID names a sale of the operator: unique on this terminal for ever.
func (a *Agent) requestID() string {
	return a.instance[:8] + "-" + a.o.Now().UTC().Format("20060102T150405.000000")
}

// sell runs one sale if the terminal is ready for it.
func (a *Agent) sell(ctx context.Context, sale transaction.Sale) transaction.Outcome {
	if ready, why := a.readiness(a.lane.menu.Lang); !ready {
		a.say("not_ready", operator.Bad, why)
		_, plain := a.readiness(operator.English)
		return transaction.Outcome{Name: "not_ready", Err: errors.New(plain)}
	}
	out := a.runner.Sale(ctx, a.lane.work.settings, sale)
	a.lane.retryAt = time.Time{}
	a.noteLoss(out)
	a.learn()
	return out
}

// readiness says whether a sale may be begun, and if not, why in words.
func (a *Agent) readiness(lang operator.Lang) (bool, string) {
	if _, ok := a.life.Identity(); !ok {
		return false, operator.Text(lang, "activation_needs")
	}
	if !lifecycle.MaySell(a.life.State()) {
		return false, operator.Text(lang, "not_ready") + ": " + string(a.life.State())
	}
	for _, p := range []board.Part{board.ICC, board.PINPad} {
		if a.missing(p) != nil {
			return false, operator.Text(lang, "part_missing") + ": " + string(p)
		}
	}
	if a.lane.work == nil || a.lane.host == nil {
		return false, operator.Text(lang, "no_config")
	}
	if !slices.Contains(a.lane.work.config.Features, wire.FeatureSale) {
		return false, operator.Text(lang, "no_feature")
	}
	return true, ""
}

// applyConfig puts a staged configuration in force: the terminal is idle here.
func (a *Agent) applyConfig() {
	report, err := a.conf.Apply()
	if err != nil {
		a.log.Warn("configuration not applied", "err", err)
		return
	}
	a.adopt(a.conf.Current())
	if l := a.link.Load(); l != nil {
		l.Report(report)
	}
	a.log.Info("configuration in force", "revision", report.Revision)
}

// adopt builds everything that follows from a configuration.
func (a *Agent) adopt(s *config.Snapshot) {
	l := &a.lane
	defer a.learn()
	if s == nil {
		return
	}
	w, err := newWork(&s.Config, a.o.Serial)
	if err != nil { // Stage has judged it; a newer program may judge otherwise
		a.log.Error("configuration in force is not usable", "err", err)
		return
	}
	if l.host != nil {
		l.host.Close() //nolint:errcheck // it returns nil
		l.host = nil
	}
	l.work = w
	l.menu.Lang = operator.Lang(s.Language)
	l.menu.Currency, l.menu.Max = w.settings.Currency, w.settings.Max
	a.runner.SignOff()
	if w.settings.Contactless != nil && a.o.Parts.NFC == nil {
		a.log.Warn("contactless is configured, and cards can only be inserted", "err", a.o.Parts.Missing[board.NFC])
	}
	if a.o.Parts.PINPad == nil {
		return
	}
	host, err := a.newHost(w)
	if err != nil {
		a.log.Error("host link not made", "err", err)
		return
	}
	l.host, a.runner.Host = host, host
	l.retryAt, l.retryIn = time.Time{}, 0
}

// care does while idle what should not keep a customer waiting: reversals that
// are owed, and the sign-in.
func (a *Agent) care(ctx context.Context) {
	l := &a.lane
	defer a.learn()
	if l.host == nil || time.Now().Before(l.retryAt) {
		return
	}
	open, err := a.runner.ClearReversals(ctx, l.work.settings)
	if err == nil && open == 0 {
		err = a.runner.EnsureSignedIn(ctx, l.work.settings)
	}
	if err == nil && open == 0 {
		l.retryAt, l.retryIn = time.Time{}, 0
		return
	}
	l.retryIn = min(max(2*l.retryIn, tick), retryCap)
	l.retryAt = time.Now().Add(l.retryIn)
	a.log.Warn("host not ready", "open_reversals", open, "err", err, "retry_in", l.retryIn)
}

// learn refreshes what others may know.
func (a *Agent) learn() {
	open, err := a.journal.List(journal.ListOptions{States: []journal.State{journal.Pending, journal.Reversing}, Limit: 1000})
	if err != nil {
		a.log.Error("journal not readable", "err", err)
	}
	ready, why := a.readiness(operator.English) // what is told to technicians is in English
	a.mu.Lock()
	defer a.mu.Unlock()
	a.facts.ready, a.facts.why, a.facts.open = ready, why, len(open)
	a.facts.signedIn, a.facts.config = a.runner.SignedIn(), a.conf.Current()
}

func (a *Agent) refresh() {
	l := &a.lane
	l.menu.Ready, l.menu.NotReady = a.readiness(l.menu.Lang)
	a.show(l.menu.View(a.statusLine()))
}

func (a *Agent) say(name string, tone operator.Tone, details ...string) {
	a.runner.Desk.Say(name, tone, details...)
}

// show puts a screen on the panel and tells who listens. It runs on the lane.
// A result forgets the keys typed before it was seen; those typed after it are
// the next customer's.
func (a *Agent) show(s operator.Screen) {
	a.mu.Lock()
	same := reflect.DeepEqual(a.screen, s)
	a.mu.Unlock()
	if same {
		return
	}
	if s.Tone == operator.Good || s.Tone == operator.Bad && s.Name != string(operator.StateIdle) {
		a.drainKeys()
	}
	a.mu.Lock()
	a.screen = s
	a.mu.Unlock()
	a.o.OnScreen(s)
	panel := a.o.Parts.Display
	if panel == nil {
		return
	}
	if a.lane.img == nil {
		size := panel.Bounds().Size()
		a.lane.img = screen.New(size.X, size.Y)
	}
	screen.Draw(a.lane.img, s)
	if err := panel.Draw(panel.Bounds(), a.lane.img, image.Point{}); err != nil {
		a.log.Warn("panel not drawn", "err", err)
	}
}

func (a *Agent) statusLine() operator.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := operator.Status{Terminal: a.o.Serial, State: string(a.life.State()), Host: a.runner.SignedIn(), Paper: a.facts.paper, Open: a.facts.open}
	if c := a.facts.config; c != nil {
		s.Terminal = c.TerminalID
	}
	if l := a.link.Load(); l != nil {
		s.Network = l.Online()
	}
	return s
}

func (a *Agent) drainKeys() {
	for {
		select {
		case <-a.keys:
		default:
			return
		}
	}
}

func currencyOf(s *config.Snapshot) payment.Currency {
	if s != nil {
		if c, ok := payment.CurrencyByNumeric(s.Currency); ok {
			return c
		}
	}
	return payment.CNY
}
