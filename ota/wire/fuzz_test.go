package wire

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// fuzz feeds outside bytes to one decoder: no panic, and what is accepted encodes and decodes to the same again.
func fuzz(f *testing.F, make func() Message) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		seed, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m := make()
		if err := Decode(body, m); err != nil {
			if len(FieldErrors(err)) == 0 {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		first, err := Encode(m)
		if err != nil {
			return // escapes may make the second form longer than MaxMessage
		}
		again := make()
		if err := Decode(first, again); err != nil {
			t.Fatalf("own encoding refused: %v\n%s", err, first)
		}
		second, err := Encode(again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("encodings differ: %v\n%s\n%s", err, first, second)
		}
	})
}

func FuzzHello(f *testing.F)       { fuzz(f, func() Message { return new(Hello) }) }
func FuzzChallenge(f *testing.F)   { fuzz(f, func() Message { return new(Challenge) }) }
func FuzzCSR(f *testing.F)         { fuzz(f, func() Message { return new(CSR) }) }
func FuzzCertificate(f *testing.F) { fuzz(f, func() Message { return new(Certificate) }) }
func FuzzRefused(f *testing.F)     { fuzz(f, func() Message { return new(Refused) }) }
func FuzzConfig(f *testing.F)      { fuzz(f, func() Message { return new(Config) }) }
func FuzzPresence(f *testing.F)    { fuzz(f, func() Message { return new(Presence) }) }
func FuzzReported(f *testing.F)    { fuzz(f, func() Message { return new(Reported) }) }
func FuzzSync(f *testing.F)        { fuzz(f, func() Message { return new(Sync) }) }
func FuzzEvent(f *testing.F)       { fuzz(f, func() Message { return new(Event) }) }
func FuzzAck(f *testing.F)         { fuzz(f, func() Message { return new(Ack) }) }

func FuzzEnvelope(f *testing.F) {
	fuzz(f, func() Message { return new(Envelope) })
}

func FuzzParseTopic(f *testing.F) {
	f.Add(Topic("acme", "VT-0001", UpEvent))
	f.Add(BootTopic("VT-0001", BootHello))
	f.Fuzz(func(t *testing.T, s string) {
		if tenant, serial, leaf, err := ParseTopic(s); err == nil && Topic(tenant, serial, leaf) != s {
			t.Errorf("%q does not come back", s)
		}
		if serial, leaf, err := ParseBootTopic(s); err == nil && BootTopic(serial, leaf) != s {
			t.Errorf("%q does not come back", s)
		}
	})
}

func FuzzNormaliseCode(f *testing.F) {
	f.Add("ABCD-EFG0")
	f.Fuzz(func(t *testing.T, s string) {
		code, err := NormaliseCode(s)
		if err != nil {
			return
		}
		if again, err := NormaliseCode(code); err != nil || again != code {
			t.Errorf("%q: %q, then %q %v", s, code, again, err)
		}
	})
}
