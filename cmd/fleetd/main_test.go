package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"posagent/ota/fleet"
)

// TestFirstStart: an empty folder is enough, what is printed is true, and the end of the context ends it.
func TestFirstStart(t *testing.T) {
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := run(ctx, settings{Options: fleet.Options{Dir: t.TempDir(), BootAddr: "127.0.0.1:0", MQTTAddr: "127.0.0.1:0",
			HTTPAddr: "127.0.0.1:0"}, hosts: "fleet.example, 127.0.0.1"}, slog.New(slog.DiscardHandler), w)
		w.Close()
		done <- err
	}()
	said := map[string]string{}
	for lines := bufio.NewScanner(r); len(said) < 5 && lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		said[name] = strings.TrimSpace(value)
	}
	if len(said) != 5 {
		t.Fatalf("said %v, then %v", said, <-done)
	}
	for _, file := range []string{said["token"], said["root"]} {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	resp, err := http.Get(said["page"])
	if err != nil || resp.StatusCode != http.StatusOK { // after the way to the log-in
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("fleetd does not end")
	}
}
