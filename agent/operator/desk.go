package operator

import (
	"context"
	"time"
)

// ChooseTimeout bounds one question to the cardholder.
const ChooseTimeout = 30 * time.Second

// Desk is the dialogue of one running transaction. One goroutine uses it at a
// time: the one that runs the transaction.
type Desk struct {
	Keys   <-chan Key      // key presses outside PIN entry
	Show   func(Screen)    // takes a screen; must not block
	Lang   func() Lang     // language of the moment
	Status func() Status   // status line of the moment
	Amount func() string   // formatted amount of the transaction, "" if none
	Sound  func(tone Tone) // may be nil
}

// Say shows a screen of the catalogue: name is the stable screen name and the
// key of its title; details are further lines, already in words.
func (d *Desk) Say(name string, tone Tone, details ...string) {
	lang := d.Lang()
	d.Show(Screen{Name: name, Lang: lang, Tone: tone, Title: Text(lang, name), Amount: d.Amount(), Lines: details,
		Dots: -1, Hint: hint(lang, name), Status: d.Status()})
	if d.Sound != nil && (tone == Good || tone == Bad) {
		d.Sound(tone)
	}
}

// PIN shows how many PIN characters the pad has taken. Notes are further lines,
// already in words.
func (d *Desk) PIN(masked string, dots int, notes ...string) {
	lang := d.Lang()
	d.Show(Screen{Name: "pin", Lang: lang, Tone: Calm, Title: Text(lang, "pin"), Amount: d.Amount(), Lines: append([]string{masked}, notes...),
		Dots: dots, Hint: hint(lang, "pin"), Status: d.Status()})
}

// Choose asks for one of at most nine options and returns its index. It returns
// -1 if the cardholder cancels or does not answer in time.
func (d *Desk) Choose(ctx context.Context, options []string) (int, error) {
	options = options[:min(len(options), 9)]
	lang := d.Lang()
	s := Screen{Name: "choose", Lang: lang, Tone: Calm, Title: Text(lang, "choose"), Amount: d.Amount(), Dots: -1,
		Hint: hint(lang, "choose"), Status: d.Status()}
	for i, o := range options {
		s.Choices = append(s.Choices, Choice{Key(rune('1' + i)), o})
	}
	d.Show(s)
	timer := time.NewTimer(ChooseTimeout)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return -1, ctx.Err()
		case <-timer.C:
			return -1, nil
		case k, ok := <-d.Keys:
			if !ok || k == KeyCancel {
				return -1, nil
			}
			if digit, isDigit := k.Digit(); isDigit && digit >= '1' && int(digit-'1') < len(options) {
				return int(digit - '1'), nil
			}
		}
	}
}

// UntilCancel runs wait with a context that ends when the Cancel key is pressed,
// and reports whether it was. Other keys are swallowed: nothing typed while a
// card is awaited may leak into the next screen.
func (d *Desk) UntilCancel(ctx context.Context, wait func(context.Context) error) (cancelled bool, err error) {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- wait(inner) }()
	keys := d.Keys
	for {
		select {
		case err := <-done:
			return cancelled, err
		case k, ok := <-keys:
			if !ok {
				keys = nil
				continue
			}
			if k == KeyCancel {
				cancelled = true
				stop()
			}
		}
	}
}
