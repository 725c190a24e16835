package board

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestBuiltInProfiles(t *testing.T) {
	models := Models()
	if len(models) < 2 {
		t.Fatalf("Models() = %v", models)
	}
	for _, name := range models {
		p, err := Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.Model != name {
			t.Errorf("%s names itself %q", name, p.Model)
		}
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "board.json")
	if err := os.WriteFile(path, []byte(`{"model":"mine","parts":{"pinpad":{"port":"/dev/ttyS1"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Profile{Model: "mine", Parts: Fitted{PINPad: &PINPadPart{Port: "/dev/ttyS1"}}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("Load = %+v; want %+v", p, want)
	}
	if _, err := Load("no-such-model"); err == nil || !strings.Contains(err.Error(), "posagent-sim") {
		t.Errorf("unknown model: %v; want the list of models", err)
	}
	if _, err := Load("/nonexistent/board.json"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte(`{"model":"mine","parts":{"pinpad":{"prot":"x"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var fe *FieldError
	if _, err := Load(path); !errors.As(err, &fe) || fe.Path != "parts.pinpad.prot" {
		t.Errorf("bad file: %v", err)
	}
}

func TestBadFields(t *testing.T) {
	const (
		slot = `{"driver":"uart","port":"A","pins":{"reset":"R"}}`
		lcd  = `{"driver":"ili9341","spi":"S","dc":"D"}`
	)
	with := func(parts string) string { return `{"model":"m","parts":{` + parts + `}}` }
	for _, c := range []struct {
		name, in string
		path     string // "" with problem "" means accepted
		problem  string
	}{
		{"empty terminal", with(``), "", ""},
		{"bare slot", with(`"icc":` + slot), "", ""},
		{"panel", with(`"display":` + lcd), "", ""},
		{"chip and offset", with(`"icc":{"driver":"uart","port":"A","pins":{"reset":"30210000.gpio+17"}}`), "", ""},

		{"nothing", ``, "", "not JSON"},
		{"half", `{"model":`, "", "not JSON"},
		{"two documents", with(``) + `{}`, "", "follows"},
		{"array", `[]`, "", "not an object"},
		{"too long", `{"model":"` + strings.Repeat("m", maxProfile) + `"}`, "", "longer"},
		{"null", `{"model":null}`, "model", "null"},
		{"null part", with(`"icc":null`), "parts.icc", "null"},
		{"unknown at the root", `{"model":"m","part":{}}`, "part", "unknown field; known here: model, parts"},
		{"unknown part", with(`"scanner":{}`), "parts.scanner", "unknown field"},
		{"unknown pin", with(`"icc":{"driver":"uart","port":"A","pins":{"reset":"R","vpp":"V"}}`), "parts.icc.pins.vpp", "unknown field"},
		{"wrong case", with(`"ICC":` + slot), "parts.ICC", "unknown field"},
		{"doubled", `{"model":"m","model":"n"}`, "model", "twice"},
		{"no model", `{"parts":{}}`, "model", "want a name"},
		{"model in capitals", `{"model":"X9"}`, "model", "lower-case"},
		{"string for number", with(`"pinpad":{"port":"A","baud":"9600"}`), "parts.pinpad.baud", `"9600" is not a whole number`},
		{"negative", with(`"pinpad":{"port":"A","baud":-1}`), "parts.pinpad.baud", "whole number"},
		{"beyond 32 bits", with(`"pinpad":{"port":"A","baud":4294967296}`), "parts.pinpad.baud", "whole number"},
		{"too slow", with(`"pinpad":{"port":"A","baud":75}`), "parts.pinpad.baud", "not within"},
		{"too wide", with(`"printer":{"port":"A","width_dots":1160}`), "parts.printer.width_dots", "not within"},
		{"no whole bytes", with(`"printer":{"port":"A","width_dots":383}`), "parts.printer.width_dots", "multiple of 8"},
		{"tiny buffer", with(`"printer":{"port":"A","rx_buffer":16}`), "parts.printer.rx_buffer", "not within"},
		{"endless feed", with(`"printer":{"port":"A","tear_feed_dots":9999}`), "parts.printer.tear_feed_dots", "not within"},
		{"beyond 16 bits", with(`"printer":{"port":"A","width_dots":70000}`), "parts.printer.width_dots", "65535"},
		{"no port", with(`"printer":{}`), "parts.printer.port", "missing"},
		{"port with space", with(`"printer":{"port":"A B"}`), "parts.printer.port", "spaces"},
		{"relative path", with(`"printer":{"port":"dev/ttyS0"}`), "parts.printer.port", "slashes"},
		{"long path", with(`"printer":{"port":"/` + strings.Repeat("x", 300) + `"}`), "parts.printer.port", "longer"},
		{"unknown driver", with(`"icc":{"driver":"pcsc","port":"A"}`), "parts.icc.driver", "want uart or tda8029"},
		{"no pins", with(`"icc":{"driver":"uart","port":"A"}`), "parts.icc.pins", "missing"},
		{"no reset", with(`"icc":{"driver":"uart","port":"A","pins":{"power":"V"}}`), "parts.icc.pins.reset", "missing"},
		{"speed of a bare slot", with(`"icc":{"driver":"uart","port":"A","baud":9600,"pins":{"reset":"R"}}`), "parts.icc.baud", "clock_hz"},
		{"card clock", with(`"icc":{"driver":"uart","port":"A","clock_hz":6000000,"pins":{"reset":"R"}}`), "parts.icc.clock_hz", "not within"},
		{"pins of the chip", with(`"icc":{"driver":"tda8029","port":"A","pins":{"reset":"R"}}`), "parts.icc.pins", "no pins"},
		{"sense of a chip's pin", with(`"icc":{"driver":"tda8029","port":"A","present_low":true}`), "parts.icc.present_low", "no pins"},
		{"not a bool", with(`"icc":{"driver":"tda8029","port":"A","present_low":1}`), "parts.icc.present_low", "true or false"},
		{"shared port", with(`"icc":` + slot + `,"printer":{"port":"A"}`), "parts.printer.port", `already used by parts.icc.port`},
		{"shared pin", with(`"icc":` + slot + `,"display":{"driver":"ili9341","spi":"S","dc":"R"}`), "parts.display.dc", "already used by parts.icc.pins.reset"},
		{"rotation", with(`"display":{"driver":"ili9341","spi":"S","dc":"D","rotation":"sideways"}`), "parts.display.rotation", "want landscape"},
		{"panel driver", with(`"display":{"driver":"st7789","spi":"S","dc":"D"}`), "parts.display.driver", "want ili9341"},
		{"contactless reader", with(`"nfc":{"driver":"pn532","port":"A","baud":921600}`), "", ""},
		{"contactless chip", with(`"nfc":{"driver":"rc522","port":"A"}`), "parts.nfc.driver", "want pn532"},
		{"contactless port", with(`"nfc":{"driver":"pn532"}`), "parts.nfc.port", "missing"},
		{"contactless speed", with(`"nfc":{"driver":"pn532","port":"A","baud":9600}`), "parts.nfc.baud", "not within"},
		{"no dc", with(`"display":{"driver":"ili9341","spi":"S"}`), "parts.display.dc", "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Decode([]byte(c.in))
			if c.problem == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			var fe *FieldError
			if !errors.As(err, &fe) {
				t.Fatalf("Decode = %v; want a FieldError", err)
			}
			if fe.Path != c.path || !strings.Contains(fe.Problem, c.problem) {
				t.Errorf("error %q at %q; want %q at %q", fe.Problem, fe.Path, c.problem, c.path)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range Models() {
		data, err := embedded.ReadFile("profiles/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"model":"m","parts":{"icc":{"driver":"uart","port":"A","pins":{"reset":"a+1"}}}}`))
	f.Add([]byte(`{"model":"m","parts":{"icc":{"driver":"uart","driver":"uart"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		var fe *FieldError
		if err != nil && !errors.As(err, &fe) {
			t.Errorf("error %v is not a FieldError", err)
		}
		if err == nil && p.Validate() != nil {
			t.Errorf("accepted an invalid profile %q", data)
		}
	})
}
