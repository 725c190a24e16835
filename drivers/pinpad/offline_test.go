package pinpad_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posagent/drivers/pinpad"
)

// cardRSA is the key of a card, made for this run.
var cardRSA = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		panic(err)
	}
	return k
})

func offline() pinpad.OfflineRequest {
	k := cardRSA()
	return pinpad.OfflineRequest{Modulus: k.N.Bytes(), Exponent: big.NewInt(int64(k.E)).Bytes(), Challenge: [8]byte{0xC0, 1, 2, 3, 4, 5, 6, 7},
		Min: 4, Max: 12, Timeout: 30 * time.Second}
}

// decipher is the card's side.
func decipher(block []byte) []byte {
	k := cardRSA()
	return new(big.Int).Exp(new(big.Int).SetBytes(block), k.D, k.N).FillBytes(make([]byte, len(k.N.Bytes())))
}

// TestOfflinePIN: what leaves the pad is the block of EMV 4.4 Book 2, 7.2, that
// the card's key opens; no key of the pad is needed for it.
func TestOfflinePIN(t *testing.T) {
	for _, c := range []struct {
		name, pin string
		block     []byte
	}{
		{"four digits", "1234", []byte{0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}},
		{"five digits", "98765", []byte{0x25, 0x98, 0x76, 0x5F, 0xFF, 0xFF, 0xFF, 0xFF}},
		{"twelve digits", "123456789012", []byte{0x2C, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0xFF}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				var dots []int
				done := r.offline(offline(), func(n int) { dots = append(dots, n) })
				for _, k := range []byte(c.pin) {
					r.press(pinpad.Key(k))
					pause(200)
				}
				r.press(pinpad.Enter)
				end := <-done
				got, ok := end.result.(pinpad.Enciphered)
				if !ok {
					t.Fatalf("result %T, %v", end.result, end.err)
				}
				req := offline()
				want := append(append([]byte{0x7F}, c.block...), req.Challenge[:]...)
				if clearText := decipher(got.Block); !bytes.HasPrefix(clearText, want) || len(got.Block) != len(req.Modulus) {
					t.Errorf("block opens to % X, want % X and padding", clearText[:17], want)
				}
				if len(dots) != len(c.pin)+1 {
					t.Errorf("dots %v", dots)
				}
				r.tap.mu.Lock()
				defer r.tap.mu.Unlock()
				for _, line := range [][]byte{r.tap.got, r.tap.sent} {
					if bytes.Contains(line, []byte(c.pin)) || bytes.Contains(line, c.block) {
						t.Error("the PIN crossed the line")
					}
				}
			})
		})
	}
}

// Two entries of one PIN for one challenge differ: the padding is drawn anew.
func TestOfflinePINIsPadded(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		var blocks [][]byte
		for range 2 {
			done := r.offline(offline(), nil)
			r.press('1', '2', '3', '4', pinpad.Enter)
			end := <-done
			got, ok := end.result.(pinpad.Enciphered)
			if !ok {
				t.Fatalf("result %T, %v", end.result, end.err)
			}
			blocks = append(blocks, got.Block)
		}
		if slices.Equal(blocks[0], blocks[1]) {
			t.Error("the same block twice")
		}
	})
}

func TestOfflinePINEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []pinpad.Key
		want pinpad.PINResult
	}{
		{"cancelled", []pinpad.Key{'1', pinpad.Cancel}, pinpad.Cancelled{}},
		{"bypassed", []pinpad.Key{pinpad.Enter}, pinpad.Bypassed{}},
		{"timed out", []pinpad.Key{'1'}, pinpad.TimedOut{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				req := offline()
				req.Bypass = true
				done := r.offline(req, nil)
				r.press(c.keys...)
				if end := <-done; end.result != c.want || end.err != nil {
					t.Errorf("result %T, %v; want %T", end.result, end.err, c.want)
				}
			})
		})
	}
}

func TestOfflinePINRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			name   string
			change func(*pinpad.OfflineRequest)
			want   error
		}{
			{"short key", func(q *pinpad.OfflineRequest) { q.Modulus = q.Modulus[:63] }, pinpad.ErrParameter},
			{"long key", func(q *pinpad.OfflineRequest) { q.Modulus = make([]byte, 249) }, pinpad.ErrParameter},
			{"no exponent", func(q *pinpad.OfflineRequest) { q.Exponent = nil }, pinpad.ErrParameter},
			{"three digits", func(q *pinpad.OfflineRequest) { q.Min = 3 }, pinpad.ErrParameter},
			{"timeout too long", func(q *pinpad.OfflineRequest) { q.Timeout = time.Hour }, pinpad.ErrParameter},
			{"exponent one", func(q *pinpad.OfflineRequest) { q.Exponent = []byte{1} }, pinpad.ErrRefused},
			{"even modulus", func(q *pinpad.OfflineRequest) { q.Modulus[len(q.Modulus)-1] &^= 1 }, pinpad.ErrRefused},
			{"modulus with a zero in front", func(q *pinpad.OfflineRequest) { q.Modulus[0] = 0 }, pinpad.ErrRefused},
		} {
			req := offline()
			c.change(&req)
			_, err := r.dev.OfflinePIN(r.ctx, req, nil)
			wantError(t, c.name, err, c.want)
		}
		r.load("pin", testPIK)
		done := r.offline(offline(), nil)
		_, err := r.dev.EnterPIN(r.ctx, request(), nil)
		wantError(t, "an entry for the host meanwhile", err, pinpad.ErrBusy)
		r.press(pinpad.Cancel)
		<-done
		r.pad.Tamper()
		_, err = r.dev.OfflinePIN(r.ctx, offline(), nil)
		wantError(t, "tampered", err, pinpad.ErrTamper)
	})
}

func TestEncipheredNeverPrints(t *testing.T) {
	t.Parallel()
	block := pinpad.Enciphered{Block: []byte{0xDE, 0xAD, 0xBE, 0xEF}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		if text := strings.ToUpper(fmt.Sprintf(verb, block)); strings.Contains(text, "DEAD") || strings.Contains(text, "222") {
			t.Errorf("%s prints the block: %s", verb, text)
		}
	}
}
