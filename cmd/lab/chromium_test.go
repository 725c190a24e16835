package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// chromium is a headless browser, spoken to in the DevTools protocol over a pair
// of pipes: JSON messages with a zero byte between them.
type chromium struct {
	t       *testing.T
	ctx     context.Context
	to      *os.File
	from    *bufio.Reader
	session string
	last    int
	thrown  []string // errors of the page's scripts, and what its policy has blocked
}

// startChromium starts the browser with one empty page.
func startChromium(ctx context.Context, t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs Debian package chromium")
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile, err := os.MkdirTemp("", "posagent-chromium-*")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en", "--user-data-dir="+profile, "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{inRead, outWrite} // file descriptors 3 and 4
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inRead.Close()
	outWrite.Close()
	c := &chromium{t: t, ctx: ctx, to: inWrite, from: bufio.NewReaderSize(outRead, 1<<20)}
	t.Cleanup(func() {
		c.send("Browser.close", nil, "")
		_, _ = c.from.WriteTo(io.Discard) // until the browser has gone
		inWrite.Close()
		_ = cmd.Wait()
		outRead.Close()
		for range 100 { // its children write a little longer
			if os.RemoveAll(profile) == nil {
				break
			}
		}
	})
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		c.call(domain+".enable", nil, nil)
	}
	return c
}

func (c *chromium) send(method string, params any, session string) int {
	c.last++
	m := map[string]any{"id": c.last, "method": method}
	if params != nil {
		m["params"] = params
	}
	if session != "" {
		m["sessionId"] = session
	}
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.to.Write(append(data, 0)); err != nil {
		c.t.Errorf("browser has gone: %v", err)
	}
	return c.last
}

// call sends a command and reads up to its answer.
func (c *chromium) call(method string, params, result any) {
	c.t.Helper()
	id := c.send(method, params, c.session)
	for {
		raw, err := c.from.ReadBytes(0)
		if err != nil {
			c.t.Fatalf("%s: browser has gone: %v", method, err)
		}
		var m struct {
			ID     int
			Method string
			Result json.RawMessage
			Error  *struct{ Message string }
			Params json.RawMessage
		}
		if err := json.Unmarshal(raw[:len(raw)-1], &m); err != nil {
			c.t.Fatalf("%s: %v", method, err)
		}
		switch {
		case m.Method == "Runtime.exceptionThrown", m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`):
			c.thrown = append(c.thrown, string(m.Params))
		case m.ID != id:
		case m.Error != nil:
			c.t.Fatalf("%s: %s", method, m.Error.Message)
		case result != nil:
			if err := json.Unmarshal(m.Result, result); err != nil {
				c.t.Fatalf("%s: %v", method, err)
			}
			return
		default:
			return
		}
	}
}

// eval gives the value of a JavaScript expression, as JSON.
func (c *chromium) eval(expression string) string {
	c.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	c.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true}, &r)
	if r.ExceptionDetails != nil {
		c.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return string(r.Result.Value)
}

// until waits for an expression to be true: the page itself looks at it for every
// frame it draws.
func (c *chromium) until(expression string) {
	c.t.Helper()
	got := c.eval(fmt.Sprintf(`new Promise((yes) => {
		const holds = () => { try { return %s; } catch { return false; } }; // the page may still be loading
		const end = performance.now() + 20000;
		(function look() {
			if (holds()) yes("true");
			else if (performance.now() > end) yes("screen " + document.getElementById("screen")?.dataset.name + ", " + document.getElementById("note")?.textContent);
			else requestAnimationFrame(look);
		})();
	})`, expression))
	if got != `"true"` {
		c.t.Fatalf("never: %s (%s)", expression, got)
	}
}

// shows waits for a screen of the terminal.
func (c *chromium) shows(name string) {
	c.t.Helper()
	c.until(`document.getElementById("screen").dataset.name === "` + name + `"`)
}

// click clicks what a selector finds, as a person does: in its middle.
func (c *chromium) click(selector string) {
	c.t.Helper()
	var at struct{ X, Y float64 }
	spot := c.eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({ block: "nearest" }); const b = e.getBoundingClientRect();
		return { X: b.x + b.width / 2, Y: b.y + b.height / 2 }; })()`, selector))
	if err := json.Unmarshal([]byte(spot), &at); err != nil {
		c.t.Fatalf("%s: %v", selector, err)
	}
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		c.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// typeKeys types on the computer's keyboard.
func (c *chromium) typeKeys(keys ...string) {
	c.t.Helper()
	for _, key := range keys {
		params := map[string]any{"type": "keyDown", "key": key}
		if key == "Enter" {
			params["text"] = "\r"
			params["windowsVirtualKeyCode"] = 13
		} else if key == "Tab" {
			params["windowsVirtualKeyCode"] = 9
		}
		c.call("Input.dispatchKeyEvent", params, nil)
		c.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key}, nil)
	}
}

// size makes the window so many pixels, in a colour scheme.
func (c *chromium) size(width, height int, scheme string) {
	c.t.Helper()
	c.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 720}, nil)
	c.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// shoot writes a picture of the window.
func (c *chromium) shoot(path string) {
	c.t.Helper()
	var shot struct{ Data string }
	c.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}
