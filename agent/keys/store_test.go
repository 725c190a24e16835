package keys

import (
	"bytes"
	"context"
	"errors"
	"testing"
)

func pair(t *testing.T) (*Software, *Host) {
	t.Helper()
	soft, err := NewSoftware(testTMK)
	if err != nil {
		t.Fatal(err)
	}
	host, err := NewHost(testTMK, seeded(7))
	if err != nil {
		t.Fatal(err)
	}
	return soft, host
}

func install(t *testing.T, s *Software, h *Host, use Use, size int) {
	t.Helper()
	w, err := h.Fresh(use, size)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.InstallWorking(context.Background(), use, w.Cryptogram, w.KCV[:]); err != nil {
		t.Fatal(err)
	}
}

func TestSignInThenMACAndPIN(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, c := range []struct {
		name     string
		pin, mac int
		alg      MACAlgorithm
	}{
		{"single length", 8, 8, MACCUPECB},
		{"double length, single MAC key", 16, 8, MACCUPECB},
		{"double length", 16, 16, MACCUPECB},
		{"double length, X9.19", 16, 16, MACX919},
		{"triple length", 24, 24, MACCUPECB},
	} {
		t.Run(c.name, func(t *testing.T) {
			soft, host := pair(t)
			install(t, soft, host, UsePIN, c.pin)
			install(t, soft, host, UseMAC, c.mac)
			install(t, soft, host, UseTrack, 16)
			data := []byte("0200 and a bitmap and fields")
			mac, err := soft.MAC(ctx, c.alg, data)
			if err != nil {
				t.Fatal(err)
			}
			if err := host.VerifyMAC(c.alg, data, mac[:]); err != nil {
				t.Errorf("MAC %X: %v", mac, err)
			}
			if err := host.VerifyMAC(c.alg, append(data, '!'), mac[:]); !errors.Is(err, ErrMAC) {
				t.Errorf("changed data: %v, want ErrMAC", err)
			}
			if err := host.VerifyMAC(c.alg, data, mac[:7]); !errors.Is(err, ErrMAC) {
				t.Errorf("short MAC: %v, want ErrMAC", err)
			}
			block, err := soft.PINBlock(ctx, []byte("123456"), testPAN)
			if err != nil {
				t.Fatal(err)
			}
			if pin, err := host.PIN(block, testPAN); err != nil || string(pin) != "123456" {
				t.Errorf("PIN %q, %v", pin, err)
			}
		})
	}
}

func TestInstallWorkingRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	soft, host := pair(t)
	install(t, soft, host, UseMAC, 16)
	before, _ := soft.KCV(UseMAC)
	w, err := host.Fresh(UseMAC, 16)
	if err != nil {
		t.Fatal(err)
	}
	bad := w.KCV
	bad[3] ^= 1
	for _, c := range []struct {
		name            string
		use             Use
		cryptogram, kcv []byte
		want            error
	}{
		{"last byte of the check value", UseMAC, w.Cryptogram, bad[:], ErrKCV},
		{"no check value", UseMAC, w.Cryptogram, nil, ErrKCV},
		{"two bytes of check value", UseMAC, w.Cryptogram, w.KCV[:2], ErrKCV},
		{"nine bytes of check value", UseMAC, w.Cryptogram, make([]byte, 9), ErrKCV},
		{"no cryptogram", UseMAC, nil, w.KCV[:], ErrKeyLength},
		{"half a cryptogram", UseMAC, w.Cryptogram[:8], w.KCV[:], ErrKCV},
		{"cryptogram of 15", UseMAC, w.Cryptogram[:15], w.KCV[:], ErrKeyLength},
		{"unknown use", "kek", w.Cryptogram, w.KCV[:], ErrUse},
	} {
		if err := soft.InstallWorking(ctx, c.use, c.cryptogram, c.kcv); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if after, ok := soft.KCV(UseMAC); !ok || after != before {
			t.Errorf("%s: the old key is gone", c.name)
		}
	}
	if err := soft.InstallWorking(ctx, UseMAC, w.Cryptogram, w.KCV[:3]); err != nil {
		t.Errorf("three bytes of check value: %v", err)
	}
}

func TestKeyUseSeparation(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	soft, host := pair(t)
	w, err := host.Fresh(UsePIN, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := soft.InstallWorking(ctx, UsePIN, w.Cryptogram, w.KCV[:]); err != nil {
		t.Fatal(err)
	}
	if mac, err := soft.MAC(ctx, MACCUPECB, []byte("x")); !errors.Is(err, ErrNoKey) {
		t.Errorf("a PIN key made the MAC %X, %v", mac, err)
	}
	if err := soft.InstallWorking(ctx, UseMAC, w.Cryptogram, w.KCV[:]); !errors.Is(err, ErrUse) {
		t.Errorf("the PIN key's cryptogram installed as MAC key: %v, want ErrUse", err)
	}
	other, _ := pair(t)
	install(t, other, host, UseMAC, 16)
	if block, err := other.PINBlock(ctx, []byte("1234"), testPAN); !errors.Is(err, ErrNoKey) {
		t.Errorf("a MAC key made the PIN block %X, %v", block, err)
	}
}

func TestNoKeys(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, c := range []struct {
		name string
		soft *Software
	}{
		{"zero value", new(Software)},
		{"wiped", func() *Software {
			s, h := pair(t)
			install(t, s, h, UseMAC, 8)
			install(t, s, h, UsePIN, 16)
			s.Wipe()
			return s
		}()},
	} {
		if _, err := c.soft.MAC(ctx, MACCUPECB, nil); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: MAC: %v", c.name, err)
		}
		if _, err := c.soft.PINBlock(ctx, []byte("1234"), testPAN); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: PIN block: %v", c.name, err)
		}
		if err := c.soft.InstallWorking(ctx, UseMAC, make([]byte, 8), make([]byte, 4)); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: install: %v", c.name, err)
		}
		if n := len(c.soft.Module().Slots()); n != 0 {
			t.Errorf("%s: %d slots", c.name, n)
		}
	}
	if _, err := NewSoftware(testTMK[:8]); !errors.Is(err, ErrKeyLength) {
		t.Errorf("TMK of single DES: %v", err)
	}
	if _, err := NewHost(testTMK[:7], seeded(0)); !errors.Is(err, ErrKeyLength) {
		t.Errorf("TMK of seven bytes: %v", err)
	}
}

func TestWipeClearsMemory(t *testing.T) {
	t.Parallel()
	soft, host := pair(t)
	install(t, soft, host, UseMAC, 16)
	tmk, mak := soft.tmk.m, soft.working[UseMAC].m
	soft.Wipe()
	if *tmk.b != [24]byte{} || *mak.b != [24]byte{} {
		t.Error("key bytes are left after Wipe")
	}
}

func TestInstallZeroisesTheOldKey(t *testing.T) {
	t.Parallel()
	soft, host := pair(t)
	install(t, soft, host, UseMAC, 16)
	old := soft.working[UseMAC].m
	install(t, soft, host, UseMAC, 16)
	if *old.b != [24]byte{} {
		t.Error("the replaced key is left in memory")
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	_, host := pair(t)
	if _, err := host.Fresh("kek", 16); !errors.Is(err, ErrUse) {
		t.Errorf("unknown use: %v", err)
	}
	if _, err := host.Fresh(UsePIN, 12); !errors.Is(err, ErrKeyLength) {
		t.Errorf("twelve bytes: %v", err)
	}
	if _, err := host.PIN([8]byte{}, testPAN); !errors.Is(err, ErrNoKey) {
		t.Errorf("PIN without key: %v", err)
	}
	if err := host.VerifyMAC(MACCUPECB, nil, make([]byte, 8)); !errors.Is(err, ErrNoKey) {
		t.Errorf("MAC without key: %v", err)
	}
	if _, err := host.Fresh(UsePIN, 16); err != nil {
		t.Fatal(err)
	}
	if pin, err := host.PIN([8]byte{1, 2, 3}, testPAN); !errors.Is(err, ErrPINBlock) {
		t.Errorf("foreign block: %q, %v", pin, err)
	}
	stuck, err := NewHost(testTMK, bytes.NewReader(bytes.Repeat([]byte{0x10}, 8*(freshTries+1))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stuck.Fresh(UsePIN, 8); err != nil {
		t.Fatal(err)
	}
	if _, err := stuck.Fresh(UseMAC, 8); !errors.Is(err, ErrUse) {
		t.Errorf("stuck randomness: %v, want ErrUse", err)
	}
	if _, err := stuck.Fresh(UseMAC, 8); err == nil {
		t.Error("a key was drawn from an empty reader")
	}
}

func TestCancelledContext(t *testing.T) {
	t.Parallel()
	soft, host := pair(t)
	install(t, soft, host, UseMAC, 8)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := soft.MAC(ctx, MACCUPECB, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("MAC: %v", err)
	}
	if _, err := soft.PINBlock(ctx, []byte("1234"), testPAN); !errors.Is(err, context.Canceled) {
		t.Errorf("PIN block: %v", err)
	}
	if err := soft.InstallWorking(ctx, UseMAC, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("install: %v", err)
	}
}

func TestModule(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	soft, host := pair(t)
	m := soft.Module()
	w, err := host.Fresh(UseMAC, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.InstallWorking(ctx, "mac", w.Cryptogram, w.KCV[:]); err != nil {
		t.Fatal(err)
	}
	mac, err := m.MAC(ctx, "x9.19", []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := host.VerifyMAC(MACX919, []byte("data"), mac[:]); err != nil {
		t.Error(err)
	}
	slots := m.Slots()
	if len(slots) != 2 || slots["mac"] != w.KCV || slots["tmk"] != mustKey(t, "0123456789ABCDEFFEDCBA9876543210").KCV() {
		t.Errorf("slots %X", slots)
	}
	_, err = m.PINBlock(ctx, []byte("1234"), testPAN)
	var fault interface{ KeyFault() string }
	if !errors.As(err, &fault) || fault.KeyFault() != "no-key" {
		t.Errorf("PIN block without key: %v", err)
	}
	m.Wipe()
	if len(m.Slots()) != 0 {
		t.Error("slots are left after Wipe")
	}
}

func BenchmarkCUPECB(b *testing.B) {
	k, err := NewKey(testTMK)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 370) // an 0200 of 22 fields
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CUPECB(k, data); err != nil {
			b.Fatal(err)
		}
	}
}
