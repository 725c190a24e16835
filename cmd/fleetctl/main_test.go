package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posagent/ota/fleet"
	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
	"posagent/ota/wire"
)

const document = `{"merchant":{"id":"103290055410001","category_code":"5541","name_zh":"测试商户","name_en":"Test Merchant"},
"terminal_id":"10000001","acquirer":{"profile":"unionpay-pos","primary":"127.0.0.1:8583","tpdu":"6000030000","head":"603100311234",
"tmk_slot":1,"connect_timeout_ms":10000,"response_timeout_ms":60000,"reversal_tries":3,"sign_in_hours":24,"key_form":"003","mac":"ecb"},
"currency":"156","exponent":2,"country":"156","language":"zh","limits":{"max_amount":5000000,"max_refund":0,"floor_limit":0,"cvm_required":0},
"receipt":{"copies":2},"features":["sale"],"batch":{"max_transactions":500,"print_report":true},
"aids":[{"aid":"A000000333010101","label":"DEBIT","partial":true,"version":"0020","tac_default":"D84000A800","tac_denial":"0010000000",
"tac_online":"D84004F800","floor_limit":0,"threshold":0,"target_percent":0,"max_percent":0,"ddol":"9F3704","priority":0}],"capks":[]}`

func TestCommands(t *testing.T) {
	dir := t.TempDir()
	s, err := fleet.Open(fleet.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	do := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(context.Background(), append([]string{"-addr", "http://" + s.Addrs().HTTP, "-dir", dir}, args...), &out)
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := do(args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	file := filepath.Join(dir, "config.json")
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}

	var code enroll.Code
	out := must("-json", "enroll", "-serial", "VT-0001", "-model", "vt1", "-merchant", "103290055410001", "-terminal", "10000001")
	if err := json.Unmarshal([]byte(out), &code); err != nil || len(code.Code) != 9 {
		t.Errorf("enroll: %s, %v", out, err)
	}
	if out := must("code", "VT-0001"); !strings.HasPrefix(out, "VT-0001: type ") {
		t.Errorf("code: %s", out)
	}
	if out := must("config", "push", "VT-0001", file); !strings.Contains(out, "revision 1") {
		t.Errorf("push: %s", out)
	}
	if out := must("terminals"); !strings.Contains(out, "VT-0001  vt1    APPROVED  offline     1") {
		t.Errorf("terminals:\n%s", out)
	}
	var one console.Terminal
	if err := json.Unmarshal([]byte(must("-json", "terminals", "VT-0001")), &one); err != nil || one.Desired.Revision != 1 || one.Binding.Version != 1 {
		t.Errorf("detail: %+v, %v", one, err)
	}
	if out := must("events"); !strings.HasPrefix(out, "NO") {
		t.Errorf("events: %s", out)
	}
	must("revoke", "VT-0001", "test is over")
	if out := must("audit"); !strings.Contains(out, "terminal.deactivated") {
		t.Errorf("audit:\n%s", out)
	}

	broken := strings.Replace(strings.Replace(document, "0010000000", "001", 1), `"copies":2`, `"copies":9`, 1)
	if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	must("enroll", "-serial", "VT-0002", "-model", "vt1", "-merchant", "103290055410001", "-terminal", "10000001")
	_, err = do("config", "push", "VT-0002", file)
	var fault *console.Fault
	if !errors.As(err, &fault) || fault.Status != 400 || len(fault.Fields) != 2 ||
		!strings.Contains(err.Error(), "aids[0].tac_denial: ") || !strings.Contains(err.Error(), "receipt.copies: ") {
		t.Errorf("bad configuration: %v", err)
	}
	if err := wire.DecodeShape([]byte(document), new(wire.Config)); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{}, {"dance"}, {"code"}, {"config", "push", "VT-0001"}, {"config", "pull", "a", "b"}, {"enroll", "-colour", "red"}} {
		if _, err := do(args...); !errors.Is(err, errUsage) {
			t.Errorf("%v: got %v, want wrong usage", args, err)
		}
	}
}
