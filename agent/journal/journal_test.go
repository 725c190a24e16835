package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"posagent/agent/payment"
)

// testPAN is a synthetic number. testTrack and testBlock are what must never
// reach the disk in any form.
const (
	testPAN   = "6226097318460046"
	testTrack = testPAN + "D30122011234567890"
	testBlock = "5a17c3e94d20b86f"
)

var (
	testKey  = []byte("a key that was made for tests 32")
	testZone = time.FixedZone("", 8*3600)
	testTime = time.Date(2026, 3, 14, 15, 9, 26, 0, testZone)
)

// clock gives times one second apart.
func clock() func() time.Time {
	t := testTime
	return func() time.Time { t = t.Add(time.Second); return t }
}

func testOptions() Options { return Options{Key: testKey, Now: clock(), LockWait: time.Nanosecond} }

func testPath(t testing.TB) string { return filepath.Join(t.TempDir(), "journal.db") }

// start opens a journal and runs its writer until the test ends or stop is
// called.
func start(t testing.TB, path string, o Options) (j *Journal, stop func()) {
	t.Helper()
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil && !errors.Is(err, ErrFailed) && !errors.Is(err, ErrClosed) {
			t.Errorf("Run: %v", err)
		}
		if err := j.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Cleanup(stop)
	return j, stop
}

func testDraft(t testing.TB, requestID string) Draft {
	t.Helper()
	pan, err := payment.NewPAN(testPAN)
	if err != nil {
		t.Fatal(err)
	}
	track, err := payment.NewTrack2(testTrack)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(testBlock)
	if err != nil {
		t.Fatal(err)
	}
	block, err := payment.NewPINBlock(raw)
	if err != nil {
		t.Fatal(err)
	}
	return Draft{
		Requester: "operator", RequestID: requestID,
		Request: payment.Request{
			Type: payment.Sale, Amount: 1234, Currency: payment.CNY, Time: testTime,
			TerminalID: "10000001", MerchantID: "102100153110001", Operator: "01", Entry: payment.Chip,
			PAN: pan, Expiry: "3012", PANSequence: "001", Track2: track, PINBlock: block,
			ICC: []byte{0x9f, 0x26, 0x08, 1, 2, 3, 4, 5, 6, 7, 8},
		},
		EMV: &EMV{AID: "A000000333010101", Label: "UnionPay Debit", Cryptogram: "0102030405060708", CID: "80", TVR: "0000008000"},
		CVM: CVMOnlinePIN,
	}
}

func begin(t testing.TB, j *Journal, requestID string) Record {
	t.Helper()
	rec, err := j.Begin(context.Background(), testDraft(t, requestID))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

func approval() Result {
	return Result{Event: Approve, Response: payment.Response{Code: "00", RRN: "000000000042", AuthCode: "A1B2C3", Issuer: "01020000", CardOrg: "CUP",
		HostTime: testTime.Add(time.Second)}}
}

func finish(t testing.TB, j *Journal, id string, res Result) Record {
	t.Helper()
	rec, err := j.Finish(context.Background(), id, res)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// sound fails the test if Verify finds anything.
func sound(t testing.TB, j *Journal) Report {
	t.Helper()
	rep, err := j.Verify(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range rep.Problems {
		t.Errorf("verify: %s", p)
	}
	return rep
}

func TestSaleSurvivesReopen(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	rec := begin(t, j, "r1")
	if rec.State != Pending || rec.STAN != 1 || rec.Batch != 1 || rec.Seq != 1 || rec.MaskedPAN != "622609******0046" || !rec.PINEntered {
		t.Fatalf("begun record = %+v", rec)
	}
	done := finish(t, j, rec.ID, approval())
	if err := j.MarkPrinted(context.Background(), rec.ID, "merchant"); err != nil {
		t.Fatal(err)
	}
	sound(t, j)
	stop()

	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("file mode = %v, %v; want 0600", info.Mode(), err)
	}
	j, _ = start(t, path, testOptions())
	for name, find := range map[string]func() (Record, error){
		"id":      func() (Record, error) { return j.Record(rec.ID) },
		"request": func() (Record, error) { return j.ByRequest("operator", "r1") },
		"STAN":    func() (Record, error) { return j.BySTAN(1, 1) },
		"last":    j.Last,
	} {
		got, err := find()
		if err != nil {
			t.Fatalf("by %s: %v", name, err)
		}
		if got.State != Approved || got.RRN != done.RRN || got.AuthCode != "A1B2C3" || got.EMV.AID != done.EMV.AID || got.Copies["merchant"] != 1 ||
			got.Currency != payment.CNY || !got.HostTime.Equal(done.HostTime) {
			t.Errorf("by %s = %+v", name, got)
		}
		if zone := got.Time.Format(time.RFC3339); zone != "2026-03-14T15:09:26+08:00" {
			t.Errorf("by %s time = %s", name, zone)
		}
	}
	tot, err := j.Totals(1)
	if err != nil || tot.SaleCount != 1 || tot.SaleAmount != 1234 || tot.Currency != payment.CNY || tot.Net() != 1234 {
		t.Errorf("totals = %+v, %v", tot, err)
	}
}
