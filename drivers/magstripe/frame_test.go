package magstripe

import (
	"testing"

	"posagent/drivers/magstripe/internal/wire"
)

// FuzzBits feeds what a buffered chip and a serial head may say: nothing panics,
// and a track is there exactly if there is no reason against it.
func FuzzBits(f *testing.F) {
	f.Add(byte(2), []byte(";4761739001010010=31122010000000?0"))
	f.Add(byte(1), []byte{1, 7, 0, 3, 0, ';', '?', '4'})
	f.Fuzz(func(t *testing.T, n byte, raw []byte) {
		number := Number(n%Tracks) + Track1
		bits := make([]byte, len(raw))
		for i, b := range raw {
			bits[i] = b & 1
		}
		var find finder
		find.reset(number)
		find.scan(bits, nil)
		if tr, err := find.result(); (err == nil) == tr.IsZero() {
			t.Errorf("got track %v and error %v", tr, err)
		}
		if len(raw) >= wire.Head {
			s, err := unpack(raw)
			for _, r := range s {
				if err == nil && (r.Err == nil) == r.Track.IsZero() {
					t.Errorf("got %v and %v", r.Track, r.Err)
				}
			}
		}
	})
}
