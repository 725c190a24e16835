package journal

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

// needles is every form in which a secret could have reached the disk.
func needles(t *testing.T) map[string][]byte {
	t.Helper()
	packed, err := hex.DecodeString(testPAN)
	if err != nil {
		t.Fatal(err)
	}
	block, err := hex.DecodeString(testBlock)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"card number":              []byte(testPAN),
		"card number, packed":      packed,
		"card number, hex of text": []byte(hex.EncodeToString([]byte(testPAN))),
		"middle of card number":    []byte(testPAN[5:13]),
		"track 2":                  []byte(testTrack),
		"track 2, after the D":     []byte(testTrack[17:]),
		"expiry beside the rest":   []byte(`"3012"`),
		"PIN block":                block,
		"PIN block, hex":           []byte(testBlock),
		"PIN block, upper hex":     []byte(strings.ToUpper(testBlock)),
	}
}

// TestSecretsNeverOnDisk reads the raw file after every single commit of every
// kind of transaction, and what was logged.
func TestSecretsNeverOnDisk(t *testing.T) {
	path := testPath(t)
	var logged bytes.Buffer
	o := testOptions()
	o.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	j, stop := start(t, path, o)
	secrets := needles(t)
	look := func(when string) {
		t.Helper()
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(raw, []byte("622609******0046")) {
			t.Errorf("%s: the masked number is not in the file; is this the right file?", when)
		}
		for name, secret := range secrets {
			if bytes.Contains(raw, secret) || bytes.Contains(logged.Bytes(), secret) {
				t.Errorf("%s: %s is on the disk or in the log", when, name)
			}
		}
	}
	for i, res := range []Result{approval(), {Event: Decline}, {Event: NothingSent}, {Event: Reverse, Reason: payment.ReasonBadMAC}} {
		rec := begin(t, j, fmt.Sprint(i))
		look("begin")
		got := finish(t, j, rec.ID, res)
		look(string(got.State))
		if got.State != Reversing {
			continue
		}
		if err := j.ReversalTried(bg, rec.ID, "no route"); err != nil {
			t.Fatal(err)
		}
		look("tried")
		if _, err := j.ReversalDone(bg, rec.ID, "00"); err != nil {
			t.Fatal(err)
		}
		look("reversed")
	}
	err := j.view(func(tx *bbolt.Tx) error {
		if key, _ := tx.Bucket(bucketImages).Cursor().First(); key != nil {
			t.Errorf("sealed image %x outlives its record's end", key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	look("closed")
}

// TestSeal: the image opens for its own record and key, and for no other.
func TestSeal(t *testing.T) {
	s, err := newSealer(testKey, strings.NewReader(strings.Repeat("n", 64)))
	if err != nil {
		t.Fatal(err)
	}
	req := testDraft(t, "r").Request
	sealed, err := s.sealImage("a", req)
	if err != nil {
		t.Fatal(err)
	}
	if pan, im, err := s.openImage("a", sealed); err != nil || pan.Reveal() != testPAN || im.Expiry != "3012" || !bytes.Equal(im.ICC, req.ICC) {
		t.Errorf("image = %v %+v, %v", pan, im.Expiry, err)
	}
	other, err := newSealer([]byte(strings.Repeat("k", 32)), nil)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(sealed)
	flipped[len(flipped)-1] ^= 1
	for name, err := range map[string]error{
		"another record": func() error { _, _, err := s.openImage("b", sealed); return err }(),
		"another field":  func() error { _, err := s.open("a", "x", sealed); return err }(),
		"another key":    func() error { _, _, err := other.openImage("a", sealed); return err }(),
		"flipped":        func() error { _, _, err := s.openImage("a", flipped); return err }(),
		"short":          func() error { _, _, err := s.openImage("a", sealed[:5]); return err }(),
		"none":           func() error { _, _, err := s.openImage("a", nil); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := s.sealImage("a", req); err != nil {
		t.Fatal(err)
	}
	if _, err := newSealer(testKey[:16], nil); err == nil {
		t.Error("a short key was accepted")
	}
}
