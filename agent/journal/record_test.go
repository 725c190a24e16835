package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"posagent/agent/payment"
)

func fullRecord() Record {
	return Record{
		ID: "01hq8zj0000000000000000042", Seq: 7, State: Reversed, Requester: "operator", RequestID: "r7",
		Type: payment.Void, Amount: 1234, Currency: payment.CNY, STAN: 42, Batch: 1, Time: testTime,
		TerminalID: "10000001", MerchantID: "102100153110001", Operator: "01", Entry: payment.Chip,
		MaskedPAN: "622609******0046", PANSequence: "001", PINEntered: true, CVM: CVMOnlinePIN,
		EMV:      &EMV{AID: "A000000333010101", CID: "40"},
		Original: &payment.Original{Batch: 1, STAN: 41, Date: "0314", RRN: "000000000041"},
		Code:     "00", RRN: "000000000042", AuthCode: "A1B2C3", HostTime: testTime, Issuer: "01040000", CardOrg: "CUP",
		Reason: payment.ReasonOther, ReversalCode: "25", ReversalTries: 3, LastTry: testTime, LastTryNote: "no route",
		Copies:  map[string]uint32{"merchant": 2},
		Changes: []Change{{State: Pending, Time: testTime}, {Reversing, Reverse, testTime}, {Reversed, ReverseEnded, testTime}},
	}
}

// TestRecordJSON keeps the stored form: a later version must read this file.
func TestRecordJSON(t *testing.T) {
	got, err := json.MarshalIndent(fullRecord(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const path = "testdata/record.json"
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("stored form is\n%s\ngolden is\n%s", got, want)
	}
	var back Record
	if err := json.Unmarshal(want, &back); err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(back, "", "  ")
	if err != nil || !bytes.Equal(append(again, '\n'), want) {
		t.Errorf("read and written again it is\n%s, %v", again, err)
	}
	if back.Currency != payment.CNY || !back.Time.Equal(testTime) {
		t.Errorf("read back %v %v", back.Currency, back.Time)
	}
}

func TestRecordJSONRefuses(t *testing.T) {
	good, err := json.Marshal(fullRecord())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, from, to, field string }{
		{"unknown currency", `"currency":"156"`, `"currency":"999"`, "currency"},
		{"unknown state", `"state":"reversed"`, `"state":"settled"`, "state"},
		{"no id", `"id":"01hq8zj0000000000000000042"`, `"id":""`, "id"},
		{"no sequence", `"seq":7`, `"seq":0`, "id"},
		{"STAN out of range", `"stan":42`, `"stan":1000000`, "stan"},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := strings.Replace(string(good), row.from, row.to, 1)
			var rec Record
			var field *FieldError
			if err := json.Unmarshal([]byte(in), &rec); !errors.As(err, &field) || field.Field != row.field {
				t.Errorf("error = %v, want field %q", err, row.field)
			}
			if rec.ID != "" {
				t.Error("a refused record was filled in")
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	key := seqKey(7)
	content, err := json.Marshal(fullRecord())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content, true)
	f.Add([]byte(`{"id":"x","seq":1,"state":"pending","currency":"156","stan":1}`), true)
	f.Add([]byte(`{"currency":{}}`), true)
	f.Add(encodeValue(key, content), false)
	f.Add([]byte{valueVersion, 0, 0}, false)
	f.Fuzz(func(t *testing.T, b []byte, wrap bool) {
		if wrap {
			b = encodeValue(key, b)
		}
		rec, err := decodeRecord(key, b)
		if err != nil {
			return
		}
		if !rec.State.Known() || rec.ID == "" || rec.Seq == 0 || rec.STAN == 0 || rec.Currency.Alpha == "" {
			t.Fatalf("accepted %+v", rec)
		}
		if _, err := json.Marshal(rec); err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
	})
}
