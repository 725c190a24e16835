package magstripe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"posagent/drivers/magstripe"
	"posagent/drivers/magstripe/magstripesim"
)

// Published-range test number with a right check digit.
const (
	testPAN = "4761739001010010"
	test1   = "B" + testPAN + "^TEST/CARD^31122010000000000"
	test2   = testPAN + "=31122010000000"
	test3   = "99" + testPAN + "=1561560000000000003000"
)

var testCard = magstripesim.Card{Track1: test1, Track2: test2, Track3: test3}

func TestStrokes(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name string
		s    magstripesim.Stroke
		want error
	}{
		{name: "steady"},
		{name: "slowest", s: magstripesim.Stroke{Speed: 10}},
		{name: "fastest", s: magstripesim.Stroke{Speed: 150}},
		{name: "speeds up", s: magstripesim.Stroke{Accel: magstripesim.Linear}},
		{name: "slows down", s: magstripesim.Stroke{Accel: magstripesim.Linear, Ratio: 0.5}},
		{name: "swings", s: magstripesim.Stroke{Accel: magstripesim.Sine}},
		{name: "jitter", s: magstripesim.Stroke{Jitter: 0.15}},
		{name: "peak shift", s: magstripesim.Stroke{PeakShift: 0.15, Jitter: 0.05}},
		{name: "reverse", s: magstripesim.Stroke{Reverse: true}},
		{name: "double", s: magstripesim.Stroke{Double: true}},
		{name: "truncated", s: magstripesim.Stroke{Truncate: 18}},
		{name: "truncated into the data", s: magstripesim.Stroke{Truncate: 80}, want: magstripe.ErrSentinel},
		{name: "beyond belief", s: magstripesim.Stroke{Jitter: 0.4}, want: errAny},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			var d magstripe.Decoder
			for n, text := range []string{test1, test2, test3} {
				got, err := d.Decode(magstripe.Number(n+1), testCard.Intervals(n+1, r.s))
				switch {
				case r.want == errAny && err == nil, r.want == nil && err != nil,
					r.want != nil && r.want != errAny && err == nil:
					t.Errorf("track %d: got %v, want %v", n+1, err, r.want)
				case err == nil && got.Reveal() != text:
					t.Errorf("track %d: got %q, want %q", n+1, got.Reveal(), text)
				}
			}
		})
	}
}

var errAny = errors.New("any")

func TestInvertedSamples(t *testing.T) {
	t.Parallel()
	for _, inverted := range []bool{false, true} {
		samples := testCard.Samples(2, magstripesim.Stroke{Inverted: inverted}, 20)
		var d magstripe.Decoder
		got, err := d.Decode(magstripe.Track2, magstripe.AppendIntervals(nil, samples))
		if err != nil || got.Reveal() != test2 {
			t.Errorf("inverted %v: got %q, %v, want %q", inverted, got.Reveal(), err, test2)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name  string
		track int
		text  string
		want  error
	}{
		{"blank", 2, "", magstripe.ErrBlank},
		{"check digit", 2, "4761739001010011=31122010000000", magstripe.ErrLuhn},
		{"month 13", 2, testPAN + "=31132010000000", magstripe.ErrFormat},
		{"month 00", 2, testPAN + "=31002010000000", magstripe.ErrFormat},
		{"no separator", 2, "476173900101001031122010000000", magstripe.ErrFormat},
		{"short number", 2, "47617390=31122010000000", magstripe.ErrFormat},
		{"format code A", 1, "A" + testPAN + "^TEST/CARD^3112201", magstripe.ErrFormat},
		{"no name", 1, "B" + testPAN + "^^3112201", magstripe.ErrFormat},
		{"track 3 without fields", 3, "99" + testPAN + "=15", magstripe.ErrFormat},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			texts := [3]string{}
			texts[r.track-1] = r.text
			card := magstripesim.Card{Track1: texts[0], Track2: texts[1], Track3: texts[2]}
			var d magstripe.Decoder
			_, err := d.Decode(magstripe.Number(r.track), card.Intervals(r.track, magstripesim.Stroke{}))
			if err != r.want {
				t.Errorf("%q: got %v, want %v", r.text, err, r.want)
			}
		})
	}
}

func decoded(t testing.TB, n int) magstripe.Track {
	t.Helper()
	var d magstripe.Decoder
	tr, err := d.Decode(magstripe.Number(n), testCard.Intervals(n, magstripesim.Stroke{}))
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestFields(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 3; n++ {
		if got := decoded(t, n).PAN().Reveal(); got != testPAN {
			t.Errorf("track %d: got number %q, want %q", n, got, testPAN)
		}
	}
	tr := decoded(t, 1)
	if got := tr.Name().Reveal(); got != "TEST/CARD" {
		t.Errorf("got name %q", got)
	}
	e, ok := tr.Expiry()
	if !ok || e.String() != "2031-12" {
		t.Errorf("got expiry %v %v, want 2031-12", e, ok)
	}
	if e.Expired(time.Date(2031, 12, 31, 23, 59, 59, 0, time.UTC)) || !e.Expired(time.Date(2032, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Error("a card is valid to the end of its month and not longer")
	}
	c, ok := tr.ServiceCode()
	if u, known := c.Uses(); !ok || !known || u.String() != "international, chip, goods and services, cash" {
		t.Errorf("got service code %v %v %v", c, u, known)
	}
	if _, ok := decoded(t, 3).Expiry(); ok {
		t.Error("track 3 has an expiry date")
	}
	if u, known := (magstripe.ServiceCode{5, 2, 5}).Uses(); !known || !u.Has(magstripe.National|magstripe.OnlineOnly|magstripe.PIN) || u.Has(magstripe.Cash) {
		t.Errorf("525: got %v", u)
	}
	if _, known := (magstripe.ServiceCode{3, 0, 1}).Uses(); known {
		t.Error("301: a reserved digit has a meaning")
	}
}

// Nothing that prints shows more than first six and last four digits.
func TestSecretsMask(t *testing.T) {
	t.Parallel()
	tr := decoded(t, 1)
	hidden := struct {
		tr   magstripe.Track
		pan  magstripe.PAN
		name magstripe.Secret
		sw   magstripe.Swipe
	}{tr, tr.PAN(), tr.Name(), magstripe.Swipe{{Track: tr}}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, tr, tr.PAN(), tr.Name(), tr.Discretionary())
		fmt.Fprintf(&out, verb, hidden)
		fmt.Fprintf(&out, verb, &hidden)
	}
	j, err := json.Marshal([]any{tr, tr.PAN(), tr.Name(), hidden.sw})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	slog.New(slog.NewTextHandler(&out, nil)).Info("swipe", "track", tr, "pan", tr.PAN(), "name", tr.Name(), "all", hidden)
	for _, secret := range []string{testPAN[6:12], "TEST/CARD", "3112201", fmt.Sprintf("%x", "TEST/CARD")} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q shows in %s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "476173******0010") {
		t.Errorf("no masked number in %s", out.String())
	}
}

func FuzzDecode(f *testing.F) {
	pack := func(iv []uint32) (b []byte) {
		for _, v := range iv {
			b = append(b, byte(v>>8), byte(v))
		}
		return b
	}
	for n := 1; n <= 3; n++ {
		f.Add(byte(n), pack(testCard.Intervals(n, magstripesim.Stroke{Jitter: 0.1})))
	}
	f.Fuzz(func(t *testing.T, n byte, raw []byte) {
		var iv []uint32
		for i := 0; i+1 < len(raw); i += 2 {
			iv = append(iv, uint32(raw[i])<<8|uint32(raw[i+1]))
		}
		var d magstripe.Decoder
		tr, err := d.Decode(magstripe.Number(n), iv)
		if (err == nil) == tr.IsZero() {
			t.Errorf("got track %v and error %v", tr, err)
		}
		if err == nil && len(tr.PAN().Reveal()) < 12 {
			t.Errorf("accepted %q", tr.Reveal())
		}
		magstripe.AppendIntervals(nil, raw)
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, j := range []float64{0, 0.15} {
		for n := 1; n <= 3; n++ {
			b.Run(fmt.Sprintf("track%d/jitter%.0f%%", n, j*100), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 1))
				iv := testCard.Intervals(n, magstripesim.Stroke{Jitter: j, Seed: rng.Uint64()})
				var d magstripe.Decoder
				b.ReportAllocs()
				for b.Loop() {
					if _, err := d.Decode(magstripe.Number(n), iv); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
