package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"posagent/agent/journal"
	"posagent/agent/vterm"
	"posagent/cmd/lab/house"
)

// openPage starts a house with its page, ready to sell.
func openPage(t *testing.T, log *slog.Logger) (context.Context, *house.House, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	page := vterm.New(vterm.Options{Log: log})
	h, err := house.Open(house.Options{Dir: t.TempDir(), Log: log, OnHost: page.HostMessage})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	running, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- serve(running, h, page, ln) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("house and page ended with %v", err)
		}
		cancel()
	})
	if err := h.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx, h, page.URL(ln.Addr())
}

// outputs is the folder for pictures.
func outputs(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("..", "..", "build", "out")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSaleInBrowser sells by clicking, then once more on the keyboard alone, and
// looks at journal, ledger, fleet and paper as the page shows them.
func TestSaleInBrowser(t *testing.T) {
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&syncWriter{w: &logged}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, h, url := openPage(t, log)
	c := startChromium(ctx, t)
	out := outputs(t)
	c.size(1280, 900, "light")
	c.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": `addEventListener("DOMContentLoaded", () => {
		window.written = []; // everything that ever stands in the document
		new MutationObserver((list) => { for (const m of list) written.push(m.target.outerHTML ?? m.target.data); })
			.observe(document, { subtree: true, childList: true, characterData: true, attributes: true }); });`}, nil)
	c.call("Page.navigate", map[string]any{"url": url}, nil)
	c.shows("idle")
	if got := c.eval("location.search"); got != `""` {
		t.Errorf("address still holds %s", got)
	}

	for _, key := range []string{"1", "1", "2", "3", "4", "enter"} {
		c.click(`[data-key="` + key + `"]`)
	}
	c.shows("insert_card")
	c.click(`[data-card="online-pin"]`)
	c.shows("pin")
	c.eval("written.length = 0")
	for _, key := range []string{"1", "2", "3", "4"} {
		c.click(`[data-key="` + key + `"]`)
	}
	c.until(`document.getElementById("words").textContent.includes("●●●●")`)
	if got := c.eval(`written.filter((s) => /(?<!\d)(1234|123)(?!\d)/.test(s.replaceAll("PIN 1234", "")) || /class="[^"]*press/.test(s))`); got != "[]" {
		t.Errorf("PIN digits in the document: %s", got)
	}
	c.click(`[data-key="enter"]`)
	c.shows("approved")
	c.until(`!document.getElementById("inserted").hidden`)
	c.until(`["journal", "ledger", "fleet"].every((id) => document.querySelector("#" + id + " .state.good"))`)
	c.until(`paper.lines > 1000 && paper.out === paper.lines`)
	c.until(`document.getElementById("text").textContent.includes("12.34")`)
	rec, err := h.Agent.Journal().Last()
	if err != nil || rec.State != journal.Approved || rec.Amount != 1234 {
		t.Fatalf("journal has %+v, %v", rec, err)
	}
	c.eval(`document.querySelector('[data-mti="0210"]').open = true; document.getElementById("messages").parentNode.scrollTop = 0`)
	c.until(`document.getElementById("note").textContent === ""`)
	c.shoot(filepath.Join(out, "lab.png"))
	c.size(1280, 900, "dark")
	c.shoot(filepath.Join(out, "lab-dark.png"))
	c.size(390, 844, "light")
	if wide := c.eval("document.documentElement.scrollWidth"); wide != "390" {
		t.Errorf("page is %s pixels wide on a phone of 390", wide)
	}
	c.shoot(filepath.Join(out, "lab-phone.png"))
	c.size(1280, 900, "light")

	c.click("#inserted")
	c.until(`document.getElementById("inserted").hidden`)
	c.click("#tear")
	c.until(`paper.lines === 0`)
	if left := h.Board.Paper.Paper().Height; left != 0 {
		t.Errorf("printer still holds %d lines", left)
	}

	// The second sale by keyboard alone, in the other language, refused by the host.
	c.click(`[data-lang="zh"]`)
	c.until(`document.querySelector(".enter").textContent === "确认"`)
	c.eval(`document.querySelector('[name="switch-host"][value="declined"]').focus()`)
	c.typeKeys(" ")
	c.until(`seen.slot.switches.host === "declined"`)
	c.typeKeys("Escape")
	c.shows("idle")
	c.typeKeys("1", "5", "0", "Enter")
	c.shows("insert_card")
	c.eval(`document.querySelector('[data-card="no-cvm"]').focus()`)
	c.typeKeys("Enter")
	c.shows("declined")
	c.eval(`document.getElementById("inserted").focus()`)
	c.typeKeys("Enter")
	c.until(`seen.slot.card === ""`)
	c.until(`seen.ledger.length === 2 && seen.slot.switches.host === "normal" && seen.journal[0].state === "declined"`)

	if len(c.thrown) > 0 {
		t.Errorf("the page had errors: %s", strings.Join(c.thrown, "\n"))
	}
	if strings.Contains(logged.String(), `"1","2","3","4"`) || strings.Contains(logged.String(), "token=") {
		t.Error("the log holds keys or the token")
	}
}

// syncWriter lets many goroutines log into one buffer.
type syncWriter struct {
	mu sync.Mutex
	w  *strings.Builder // guarded by mu
}

func (s *syncWriter) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
