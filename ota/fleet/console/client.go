package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"posagent/ota/fleet/enroll"
)

// maxAnswer bounds what a client reads: a full list of terminals or events.
const maxAnswer = 16 << 20

// Client speaks the API.
type Client struct {
	base, token string
	http        *http.Client
}

// NewClient returns a client of the server at base, as in "http://127.0.0.1:8080".
func NewClient(base, token string) *Client {
	return &Client{base: strings.TrimRight(base, "/"), token: token, http: &http.Client{Timeout: 30 * time.Second}}
}

// Fault is an error that the server answered.
type Fault struct {
	Status int
	Text   string
	Fields []string // path and problem of each wrong field
}

func (f *Fault) Error() string {
	if len(f.Fields) == 0 {
		return f.Text
	}
	return strings.Join(f.Fields, "\n")
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var payload io.Reader
	switch v := in.(type) {
	case nil:
	case []byte:
		payload = bytes.NewReader(v)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1/"+path, payload)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask fleet: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode >= 300 {
		return readFault(resp.StatusCode, text)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

func readFault(status int, text []byte) error {
	var f fault
	if err := json.Unmarshal(text, &f); err != nil || f.Error == "" {
		return &Fault{Status: status, Text: fmt.Sprintf("fleet answered %d", status)}
	}
	out := &Fault{Status: status, Text: f.Error}
	for _, one := range f.Fields {
		out.Fields = append(out.Fields, one.Problem)
	}
	return out
}

// Terminals lists every terminal, page by page.
func (c *Client) Terminals(ctx context.Context) ([]Terminal, error) {
	var all []Terminal
	for {
		var page TerminalList
		after := ""
		if len(all) > 0 {
			after = all[len(all)-1].Serial
		}
		if err := c.call(ctx, http.MethodGet, "terminals?after="+url.QueryEscape(after), nil, &page); err != nil {
			return nil, err
		}
		if len(page.Terminals) == 0 {
			return all, nil
		}
		all = append(all, page.Terminals...)
	}
}

// Terminal returns one terminal in detail.
func (c *Client) Terminal(ctx context.Context, serial string) (t Terminal, err error) {
	err = c.call(ctx, http.MethodGet, "terminals/"+url.PathEscape(serial), nil, &t)
	return t, err
}

// Enroll registers a terminal and returns its activation code.
func (c *Client) Enroll(ctx context.Context, a enroll.Application) (code enroll.Code, err error) {
	err = c.call(ctx, http.MethodPost, "terminals", a, &code)
	return code, err
}

// IssueCode returns a new activation code.
func (c *Client) IssueCode(ctx context.Context, serial string) (code enroll.Code, err error) {
	err = c.call(ctx, http.MethodPost, "terminals/"+url.PathEscape(serial)+"/code", nil, &code)
	return code, err
}

// PushConfig sends a configuration document as it stands in a file.
func (c *Client) PushConfig(ctx context.Context, serial string, document []byte) (p Pushed, err error) {
	err = c.call(ctx, http.MethodPut, "terminals/"+url.PathEscape(serial)+"/config", document, &p)
	return p, err
}

// Revoke deactivates a terminal.
func (c *Client) Revoke(ctx context.Context, serial, reason string) error {
	return c.call(ctx, http.MethodPost, "terminals/"+url.PathEscape(serial)+"/revoke", map[string]string{"reason": reason}, &struct{}{})
}

// Events lists events of a serial, or of all for "", after a number.
func (c *Client) Events(ctx context.Context, serial string, after uint64, limit int) (list EventList, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("events?serial=%s&after=%d&limit=%d", url.QueryEscape(serial), after, limit), nil, &list)
	return list, err
}

// LastEvents lists the newest events first.
func (c *Client) LastEvents(ctx context.Context, serial string, limit int) (list EventList, err error) {
	err = c.call(ctx, http.MethodGet, "events?last=1&serial="+url.QueryEscape(serial)+"&limit="+strconv.Itoa(limit), nil, &list)
	return list, err
}

// Audit lists the audit trail after an entry's number.
func (c *Client) Audit(ctx context.Context, after uint64, limit int) (list AuditList, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("audit?after=%d&limit=%d", after, limit), nil, &list)
	return list, err
}
