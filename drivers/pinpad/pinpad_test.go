package pinpad_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/pinpadsim"
)

// pause lets virtual milliseconds pass.
func pause(ms int64) { <-time.After(time.Duration(ms) * time.Millisecond) }

func bubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t)) })
}

func request() pinpad.PINRequest {
	return pinpad.PINRequest{PAN: testPAN, Min: 4, Max: 6, Timeout: 30 * time.Second}
}

// openBlock deciphers a block with the PIN key and gives the clear block.
func openBlock(b [8]byte) [8]byte {
	tdes(testPIK).Decrypt(b[:], b[:])
	return b
}

func TestInfo(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("mac", testMAK)
		info, err := r.dev.Info(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.Serial != "PP000042" || info.Model != "M" || info.Firmware != "2.1" || info.Protocol != 2 || info.Tampered {
			t.Errorf("info %+v", info)
		}
		_, kcv := wrap(testMAK)
		if len(info.Slots) != 2 || info.Slots[0].Use != "mac" || !bytes.Equal(info.Slots[0].KCV[:], kcv) || info.Slots[1].Use != "tmk" {
			t.Errorf("slots %+v", info.Slots)
		}
		if err := r.dev.Beep(r.ctx, 100*time.Millisecond); err != nil || r.pad.Beeps() != 1 {
			t.Errorf("beep: %v, %d heard", err, r.pad.Beeps())
		}
	})
}

func TestLoadWorkingKey(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		cryptogram, kcv := wrap(testPIK)
		bad := bytes.Clone(kcv)
		bad[0] ^= 1
		for _, c := range []struct {
			name, use       string
			cryptogram, kcv []byte
			want            error
		}{
			{"good", "pin", cryptogram, kcv, nil},
			{"check value", "pin", cryptogram, bad, pinpad.ErrKCV},
			{"unknown use", "kek", cryptogram, kcv, pinpad.ErrKeyUse},
			{"short cryptogram", "pin", cryptogram[:15], kcv, pinpad.ErrRefused},
			{"cryptogram that fits no text", "pin", make([]byte, 256), kcv, pinpad.ErrParameter},
			{"together too long", "pin", make([]byte, 255), make([]byte, 255), pinpad.ErrParameter},
		} {
			wantError(t, c.name, r.dev.LoadWorkingKey(r.ctx, c.use, c.cryptogram, c.kcv), c.want)
		}
	})
}

func TestMAC(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, err := r.dev.MAC(r.ctx, "cbc", []byte("x"))
		wantError(t, "without key", err, pinpad.ErrNoKey)
		r.load("mac", testMAK)
		for _, n := range []int{0, 1, 8, 255, 256, 257, 512, 1024, 4096} {
			data := bytes.Repeat([]byte{0x02, 0x03, 0x44, 'D', 0xFF}, n)[:n]
			got, err := r.dev.MAC(r.ctx, "cbc", data)
			if want := cbcMAC(testMAK, data); err != nil || got != want {
				t.Errorf("%d bytes: %X, %v; want %X", n, got, err, want)
			}
		}
		_, err = r.dev.MAC(r.ctx, "cbc", make([]byte, 4097))
		wantError(t, "too long", err, pinpad.ErrParameter)
		_, err = r.dev.MAC(r.ctx, "md5", nil)
		wantError(t, "unknown algorithm", err, pinpad.ErrRefused)
		_, err = r.dev.MAC(r.ctx, strings.Repeat("x", 33), nil)
		wantError(t, "name too long", err, pinpad.ErrParameter)
	})
}

func TestKeys(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		pause(100)
		want := []pinpad.Key{pinpad.Key1, pinpad.Key0, pinpad.Key9, pinpad.Enter, pinpad.Clear, pinpad.Cancel, pinpad.Up, pinpad.Down, pinpad.F1, pinpad.F4}
		r.press(want...)
		r.press(pinpad.Key(0x7E)) // no such key
		for _, k := range want {
			if got := <-r.dev.Keys(); got != k {
				t.Errorf("key %s, want %s", got, k)
			}
		}
		if err := r.dev.SetKeyboard(r.ctx, false); err != nil {
			t.Fatal(err)
		}
		r.press(pinpad.Key5)
		pause(100)
		r.pad.PowerCycle() // the pad's keyboard is on again, and its keys still not wanted
		pause(500)
		r.press(pinpad.Key6)
		pause(100)
		if err := r.dev.SetKeyboard(r.ctx, true); err != nil {
			t.Fatal(err)
		}
		for range 100 { // nobody reads: the buffer holds 32, and the pad is not held up
			r.press(pinpad.Key7)
			pause(20)
		}
		if n := len(r.dev.Keys()); n != 32 {
			t.Errorf("%d keys wait, want 32", n)
		}
		if _, err := r.dev.Info(r.ctx); err != nil {
			t.Errorf("info with a full key buffer: %v", err)
		}
		for range 32 {
			if k := <-r.dev.Keys(); k != pinpad.Key7 {
				t.Errorf("key %s, want 7", k)
			}
		}
	})
}

func TestKeyNames(t *testing.T) {
	t.Parallel()
	for i := range 256 {
		k := pinpad.Key(i)
		back, ok := pinpad.ParseKey(k.String())
		if ok != k.Valid() || ok && back != k {
			t.Errorf("key %#x is %q, which is %#x, %v", i, k, uint8(back), ok)
		}
	}
	if v, ok := pinpad.Key8.Digit(); !ok || v != 8 {
		t.Errorf("Key8 is %d, %v", v, ok)
	}
}

func TestEnterPIN(t *testing.T) {
	const enter, clearKey, cancel = pinpad.Enter, pinpad.Clear, pinpad.Cancel
	for _, c := range []struct {
		name   string
		bypass bool
		keys   []pinpad.Key
		pin    string // entered
		want   pinpad.PINResult
		dots   []int
		beeps  uint32
	}{
		{"four digits", false, []pinpad.Key{'1', '2', '3', '4', enter}, "1234", nil, []int{1, 2, 3, 4}, 0},
		{"corrected", false, []pinpad.Key{'9', '9', clearKey, '1', '2', '3', '4', '5', enter}, "12345", nil, []int{1, 2, 0, 1, 2, 3, 4, 5}, 0},
		{"seventh digit not taken", false, []pinpad.Key{'1', '2', '3', '4', '5', '6', '7', enter}, "123456", nil, []int{1, 2, 3, 4, 5, 6}, 1},
		{"enter too early", false, []pinpad.Key{'1', enter, '2', '3', '4', enter}, "1234", nil, []int{1, 2, 3, 4}, 1},
		{"keys without meaning", false, []pinpad.Key{pinpad.F1, '1', pinpad.Up, '2', '3', '4', enter}, "1234", nil, []int{1, 2, 3, 4}, 2},
		{"cancelled", true, []pinpad.Key{'1', cancel}, "", pinpad.Cancelled{}, []int{1}, 0},
		{"bypassed", true, []pinpad.Key{enter}, "", pinpad.Bypassed{}, nil, 0},
		{"bypassed after clear", true, []pinpad.Key{'1', clearKey, enter}, "", pinpad.Bypassed{}, []int{1, 0}, 0},
		{"bypass not allowed, timeout", false, []pinpad.Key{enter}, "", pinpad.TimedOut{}, nil, 1},
		{"no bypass with one digit, timeout", true, []pinpad.Key{'1', enter}, "", pinpad.TimedOut{}, []int{1}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.load("pin", testPIK)
				var dots []int
				req := request()
				req.Bypass = c.bypass
				began := time.Now()
				done := r.enter(r.ctx, req, func(n int) { dots = append(dots, n) })
				for _, k := range c.keys {
					r.press(k)
					pause(200)
				}
				end := <-done
				if end.err != nil {
					t.Fatal(end.err)
				}
				if c.pin != "" {
					got, ok := end.result.(pinpad.Entered)
					if want := format0(c.pin, testPAN); !ok || openBlock(got.Block) != want {
						t.Errorf("result %T, clear block %X, want %X", end.result, openBlock(got.Block), want)
					}
				} else if end.result != c.want {
					t.Errorf("result %T, want %T", end.result, c.want)
				}
				if _, timedOut := c.want.(pinpad.TimedOut); timedOut && time.Since(began) < req.Timeout {
					t.Errorf("timed out after %s", time.Since(began))
				}
				if want := append([]int{0}, c.dots...); !slices.Equal(dots, want) {
					t.Errorf("dots %v, want %v", dots, want)
				}
				if r.pad.Beeps() != c.beeps {
					t.Errorf("%d beeps, want %d", r.pad.Beeps(), c.beeps)
				}
				if len(r.dev.Keys()) != 0 {
					t.Errorf("%d keys were sent during PIN entry", len(r.dev.Keys()))
				}
			})
		})
	}
}

func TestEnterPINRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		_, err := r.dev.EnterPIN(r.ctx, request(), nil)
		wantError(t, "without key", err, pinpad.ErrNoKey)
		for name, change := range map[string]func(*pinpad.PINRequest){
			"card number too short": func(q *pinpad.PINRequest) { q.PAN = "12345678901" },
			"card number too long":  func(q *pinpad.PINRequest) { q.PAN = "12345678901234567890" },
			"card number of letters": func(q *pinpad.PINRequest) {
				q.PAN = "622848000000000000A"
			},
			"format 3":         func(q *pinpad.PINRequest) { q.Format = 3 },
			"three digits":     func(q *pinpad.PINRequest) { q.Min = 3 },
			"thirteen digits":  func(q *pinpad.PINRequest) { q.Max = 13 },
			"min above max":    func(q *pinpad.PINRequest) { q.Min = 7 },
			"timeout too long": func(q *pinpad.PINRequest) { q.Timeout = time.Hour },
			"timeout negative": func(q *pinpad.PINRequest) { q.Timeout = -time.Second },
		} {
			req := request()
			change(&req)
			_, err := r.dev.EnterPIN(r.ctx, req, nil)
			wantError(t, name, err, pinpad.ErrParameter)
			if err != nil && strings.Contains(err.Error(), req.PAN) {
				t.Errorf("%s: the error names the card number: %v", name, err)
			}
		}
		r.load("pin", testPIK)
		done := r.enter(r.ctx, request(), nil)
		_, err = r.dev.EnterPIN(r.ctx, request(), nil)
		wantError(t, "second entry", err, pinpad.ErrBusy)
		r.load("mac", testMAK) // the line is free meanwhile
		if got, err := r.dev.MAC(r.ctx, "cbc", []byte("x")); err != nil || got != cbcMAC(testMAK, []byte("x")) {
			t.Errorf("MAC during PIN entry: %X, %v", got, err)
		}
		r.press(pinpad.Cancel)
		if end := <-done; end.err != nil || end.result != (pinpad.Cancelled{}) {
			t.Errorf("first entry: %v, %v", end.result, end.err)
		}
	})
}

func TestCancelledContextEndsTheEntry(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("pin", testPIK)
		ctx, cancel := context.WithCancel(r.ctx)
		done := r.enter(ctx, request(), nil)
		r.press('1', '2')
		cancel()
		end := <-done
		wantError(t, "entry", end.err, context.Canceled)
		if r.pad.InPINEntry() {
			t.Error("the pad still waits for a PIN")
		}
		r.press(pinpad.Key7)
		if k := <-r.dev.Keys(); k != pinpad.Key7 {
			t.Errorf("key %s after the entry", k)
		}
		done = r.enter(r.ctx, request(), nil)
		r.press('1', '2', '3', '4', pinpad.Enter)
		if end := <-done; end.err != nil {
			t.Errorf("next entry: %v", end.err)
		}
	})
}

func TestHaltEndsTheEntry(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("pin", testPIK)
		done := r.enter(r.ctx, request(), nil)
		if err := r.dev.Halt(); err != nil {
			t.Fatal(err)
		}
		wantError(t, "entry", (<-done).err, pinpad.ErrHalted)
		synctest.Wait()
		if r.pad.InPINEntry() {
			t.Error("the pad still waits for a PIN")
		}
		_, err := r.dev.Info(r.ctx)
		wantError(t, "info", err, pinpad.ErrHalted)
		wantError(t, "run", r.dev.Run(r.ctx), pinpad.ErrHalted)
	})
}

func TestTamper(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("pin", testPIK)
		r.load("mac", testMAK)
		done := r.enter(r.ctx, request(), nil)
		r.press('1')
		r.pad.Tamper()
		wantError(t, "entry", (<-done).err, pinpad.ErrTamper)
		<-r.dev.Tamper()
		_, err := r.dev.MAC(r.ctx, "cbc", nil)
		wantError(t, "MAC", err, pinpad.ErrTamper)
		_, err = r.dev.EnterPIN(r.ctx, request(), nil)
		wantError(t, "PIN", err, pinpad.ErrTamper)
		cryptogram, kcv := wrap(testMAK)
		wantError(t, "load", r.dev.LoadWorkingKey(r.ctx, "mac", cryptogram, kcv), pinpad.ErrTamper)
		info, err := r.dev.Info(r.ctx)
		if err != nil || !info.Tampered || len(info.Slots) != 0 {
			t.Errorf("info %+v, %v", info, err)
		}
	})
}

// The same keys pressed differently give the same bytes on the line, apart from
// the enciphered block: nothing of a PIN but its length leaves the pad.
func TestDigitsNeverLeaveThePad(t *testing.T) {
	transcript := func(pin string) (got, sent []byte, block [8]byte) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.load("pin", testPIK)
			done := r.enter(r.ctx, request(), nil)
			for _, c := range []byte(pin) {
				r.press(pinpad.Key(c))
				pause(200)
			}
			r.press(pinpad.Enter)
			end := <-done
			entered, ok := end.result.(pinpad.Entered)
			if !ok {
				t.Fatalf("%T, %v", end.result, end.err)
			}
			pause(1000)
			r.tap.mu.Lock()
			defer r.tap.mu.Unlock()
			got, sent, block = bytes.Clone(r.tap.got), bytes.Clone(r.tap.sent), entered.Block
		})
		return got, sent, block
	}
	got1, sent1, block1 := transcript("739182")
	got2, sent2, block2 := transcript("460574")
	for _, line := range [][]byte{got1, sent1} {
		for _, form := range [][]byte{[]byte("739182"), {0x73, 0x91, 0x82}, {7, 3, 9, 1, 8, 2}} {
			if bytes.Contains(line, form) {
				t.Errorf("the PIN crossed the line as % X", form)
			}
		}
	}
	if !bytes.Equal(got1, got2) {
		t.Error("what the terminal sent depends on the PIN")
	}
	// Behind the block stand its CRC and ETX.
	at := bytes.Index(sent1, block1[:])
	if at < 0 || at != bytes.Index(sent2, block2[:]) || !bytes.Equal(sent1[:at], sent2[:at]) ||
		!bytes.Equal(sent1[at+13:], sent2[at+13:]) || block1 == block2 {
		t.Errorf("what the pad sent depends on the PIN beyond the block at %d", at)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	block := pinpad.Entered{Block: [8]byte{0xDE, 0xAD, 0xBE, 0xEF, 1, 2, 3, 4}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		if text := strings.ToUpper(fmt.Sprintf(verb, block)); strings.Contains(text, "DEAD") || strings.Contains(text, "222") {
			t.Errorf("%s prints the block: %s", verb, text)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, request()); strings.Contains(text, testPAN) || strings.Contains(text, fmt.Sprintf("%x", testPAN)) {
			t.Errorf("%s prints the card number: %s", verb, text)
		}
	}
}

func TestTerminalRestart(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("pin", testPIK)
		r.load("mac", testMAK)
		done := r.enter(r.ctx, request(), nil)
		r.stopRun()
		if err := <-r.ran; err != nil {
			t.Fatal(err)
		}
		if end := <-done; end.err == nil {
			t.Errorf("entry ended as %T", end.result)
		}
		r.run()
		if got, err := r.dev.MAC(r.ctx, "cbc", []byte("x")); err != nil || got != cbcMAC(testMAK, []byte("x")) {
			t.Errorf("keys after a restart: %X, %v", got, err)
		}
		if r.pad.InPINEntry() {
			t.Error("the old entry goes on")
		}
	})
}

func TestPadRestart(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("pin", testPIK)
		done := r.enter(r.ctx, request(), nil)
		r.pad.PowerCycle()
		wantError(t, "entry", (<-done).err, pinpad.ErrNoAnswer)
		pause(100)
		r.press(pinpad.Key3)
		if k := <-r.dev.Keys(); k != pinpad.Key3 {
			t.Errorf("key %s", k)
		}
		done = r.enter(r.ctx, request(), nil) // the PIN key is still there
		r.press(pinpad.Cancel)
		if end := <-done; end.err != nil {
			t.Error(end.err)
		}
	})
}

func TestServeAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.load("mac", testMAK)
		r.stopServe()
		if err := <-r.served; err != nil {
			t.Fatal(err)
		}
		_, err := r.dev.MAC(r.ctx, "cbc", []byte("x"))
		wantError(t, "nobody serves", err, pinpad.ErrNoAnswer)
		r.serve()
		if got, err := r.dev.MAC(r.ctx, "cbc", []byte("x")); err != nil || got != cbcMAC(testMAK, []byte("x")) {
			t.Errorf("after serving again: %X, %v", got, err)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		r.pad.SetFaults(pinpadsim.Faults{Mute: true})
		began := time.Now()
		_, err := r.dev.MAC(r.ctx, "cbc", nil)
		wantError(t, "mute pad", err, pinpad.ErrNoAnswer)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("gave up after %s", took)
		}
		r.pad.SetFaults(pinpadsim.Faults{})
		if _, err := r.dev.Info(r.ctx); err != nil {
			t.Errorf("the pad is back: %v", err)
		}
	})
}

func TestLineGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.load("pin", testPIK)
		done := r.enter(r.ctx, request(), nil)
		if err := r.line.Wire().Close(); err != nil {
			t.Fatal(err)
		}
		if end := <-done; !errors.Is(end.err, pinpad.ErrNoAnswer) {
			t.Errorf("entry: %v", end.err)
		}
		if err := <-r.ran; err == nil {
			t.Error("Run ended without an error on a line that is gone")
		}
		r.ran <- nil
	})
}
