package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posagent/agent/emv/cardsim"
)

// virtualSlot is the reader's end of the bridge.
type virtualSlot struct {
	t    *testing.T
	conn net.Conn
}

func (v virtualSlot) say(payload ...byte) {
	v.t.Helper()
	if err := writeFrame(v.conn, payload); err != nil {
		v.t.Fatal(err)
	}
}

func (v virtualSlot) hear() string {
	v.t.Helper()
	b, err := readFrame(v.conn)
	if err != nil {
		v.t.Fatal(err)
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// TestInsert is a session of the virtual reader with a card: ATR, a command, a reset, an ended program.
func TestInsert(t *testing.T) {
	t.Parallel()
	card, err := openChip("approves-offline")
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- insert(ctx, theirs, card) }()
	v := virtualSlot{t, ours}
	v.say(vpcdPowerOn)
	v.say(vpcdATR)
	if got, want := v.hear(), strings.ToUpper(hex.EncodeToString(card.ATR())); got != want {
		t.Errorf("ATR %s; want %s", got, want)
	}
	pse, err := hex.DecodeString("00A404000E315041592E5359532E444446303100")
	if err != nil {
		t.Fatal(err)
	}
	record := []byte{0x00, 0xB2, 0x01, 0x0C, 0x00}
	v.say(pse...)
	if got := v.hear(); !strings.HasPrefix(got, "6F") || !strings.HasSuffix(got, "9000") {
		t.Errorf("SELECT: %s", got)
	}
	v.say(record...)
	if got := v.hear(); !strings.HasPrefix(got, "70") {
		t.Errorf("READ RECORD: %s", got)
	}
	v.say(vpcdReset)
	v.say(record...)
	if got := v.hear(); got != "6985" {
		t.Errorf("READ RECORD after a reset: %s; want 6985", got)
	}
	v.say() // an empty frame is no command
	if got := v.hear(); got != "6700" {
		t.Errorf("nothing at all: %s; want 6700", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

// TestInsertMute: a card that falls silent is pulled, a reader that goes away is an error.
func TestInsertMute(t *testing.T) {
	t.Parallel()
	silent, err := cardsim.Open("no-cvm")
	if err != nil {
		t.Fatal(err)
	}
	silent.SetFault(cardsim.FaultSilentAfter, 1)
	for _, c := range []struct {
		name string
		do   func(virtualSlot)
		want error
	}{
		{"mute", func(v virtualSlot) { v.say(0x00, 0xB2, 0x01, 0x0C, 0x00) }, errMute},
		{"reader gone", func(v virtualSlot) { v.conn.Close() }, io.EOF},
		{"half a frame", func(v virtualSlot) { v.conn.Write([]byte{0, 5, 1}); v.conn.Close() }, io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := net.Pipe()
			ended := make(chan error, 1)
			go func() { ended <- insert(t.Context(), theirs, silent) }()
			c.do(virtualSlot{t, ours})
			if err := <-ended; !errors.Is(err, c.want) {
				t.Errorf("error %v; want %v", err, c.want)
			}
		})
	}
}

// TestCardCommand: flags, names, list and settings.
func TestCardCommand(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	var list bytes.Buffer
	if err := listCards(&list); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(cardsim.Names(), cardsim.ContactlessNames()...) {
		if !strings.Contains(list.String(), name) {
			t.Errorf("-list leaves %s out", name)
		}
	}
	if _, err := openChip("contactless/k3-fdda"); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "personality.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openChip(file); !errors.Is(err, cardsim.ErrPersonality) {
		t.Errorf("an empty personality: %v", err)
	}
	settings := filepath.Join(t.TempDir(), "lab.json")
	if err := runCard(t.Context(), []string{"-write-settings", settings}, log); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(settings); err != nil || !bytes.Contains(b, []byte(`"capks"`)) {
		t.Errorf("settings %q, %v", b, err)
	}
	var wrong useError
	for _, args := range [][]string{{}, {"-vpcd", "127.0.0.1:1"}, {"-vpcd", "127.0.0.1:1", "-card", "nobody"}, {"-colour"}} {
		if err := runCard(t.Context(), args, log); !errors.As(err, &wrong) {
			t.Errorf("%q: %v; want wrong use", args, err)
		}
	}
}
