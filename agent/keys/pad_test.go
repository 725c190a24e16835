package keys_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/keys"
	"posagent/drivers/bussim"
	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/pinpadsim"
)

var (
	_ pinpadsim.Secure = (*keys.Module)(nil)
	_ keys.Pad         = (*pinpad.Dev)(nil)
)

// Sign-in, MAC and PIN with the terminal's keys in a pad on a serial line and
// the acquirer's at the host: what one makes the other understands.
func TestThroughAPad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tmk := []byte("made for testing")
		soft, err := keys.NewSoftware(tmk)
		if err != nil {
			t.Fatal(err)
		}
		host, err := keys.NewHost(tmk, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		line := bussim.NewUART("PINPAD0", &bussim.UARTOpts{Paced: true})
		sim := pinpadsim.New(&pinpadsim.Opts{Secure: soft.Module()})
		dev, err := pinpad.New(line.Port(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ends := make(chan error, 2)
		go func() { ends <- sim.Serve(ctx, line.Wire()) }()
		go func() { ends <- dev.Run(ctx) }()
		defer func() {
			stop()
			if err := errors.Join(<-ends, <-ends, dev.Halt()); err != nil {
				t.Error(err)
			}
		}()

		store := keys.OnPad(dev)
		data := []byte("0200 and what follows")
		if _, err := store.MAC(ctx, keys.MACCUPECB, data); !errors.Is(err, keys.ErrNoKey) || !errors.Is(err, pinpad.ErrNoKey) {
			t.Errorf("MAC before sign-in: %v", err)
		}
		for _, use := range []keys.Use{keys.UsePIN, keys.UseMAC, keys.UseTrack} {
			w, err := host.Fresh(use, 16)
			if err != nil {
				t.Fatal(err)
			}
			bad := w.KCV
			bad[0] ^= 1
			if err := store.InstallWorking(ctx, use, w.Cryptogram, bad[:]); !errors.Is(err, keys.ErrKCV) {
				t.Errorf("wrong check value: %v", err)
			}
			if err := store.InstallWorking(ctx, use, w.Cryptogram, w.KCV[:]); err != nil {
				t.Fatal(err)
			}
			if use == keys.UsePIN {
				if err := store.InstallWorking(ctx, keys.UseMAC, w.Cryptogram, w.KCV[:]); !errors.Is(err, keys.ErrUse) {
					t.Errorf("PIN key as MAC key: %v", err)
				}
			}
		}
		if err := store.InstallWorking(ctx, "kek", nil, nil); !errors.Is(err, keys.ErrUse) {
			t.Errorf("unknown use: %v", err)
		}
		for _, alg := range []keys.MACAlgorithm{keys.MACCUPECB, keys.MACX919} {
			mac, err := store.MAC(ctx, alg, data)
			if err == nil {
				err = host.VerifyMAC(alg, data, mac[:])
			}
			if err != nil {
				t.Errorf("%s: %v", alg, err)
			}
		}

		const pan = "6228480000000000000"
		result := make(chan pinpad.PINResult, 1)
		go func() {
			r, err := dev.EnterPIN(ctx, pinpad.PINRequest{PAN: pan, Timeout: 30 * time.Second}, nil)
			if err != nil {
				t.Error(err)
			}
			result <- r
		}()
		for !sim.InPINEntry() {
			<-time.After(10 * time.Millisecond)
		}
		for _, k := range "246813" {
			sim.Press(pinpad.Key(k))
		}
		sim.Press(pinpad.Enter)
		entered, ok := (<-result).(pinpad.Entered)
		if !ok {
			t.Fatal("no PIN block")
		}
		if pin, err := host.PIN(entered.Block, pan); err != nil || string(pin) != "246813" {
			t.Errorf("the host reads %q, %v", pin, err)
		}
	})
}
