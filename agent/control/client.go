package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"posagent/agent/journal"
)

// maxAnswer bounds what a client reads.
const maxAnswer = 8 << 20

// Client speaks to a terminal on this machine.
type Client struct{ http *http.Client }

// Dial makes a client for the socket at path; it connects when asked.
func Dial(path string) *Client {
	return &Client{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}}
}

// Status asks where the terminal stands.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	return s, c.do(ctx, "GET", "/v1/status", nil, &s)
}

// Activate activates the terminal with a one-time code.
func (c *Client) Activate(ctx context.Context, code string) (s Status, err error) {
	return s, c.do(ctx, "POST", "/v1/activate", map[string]string{"code": code}, &s)
}

// Sale runs a sale and waits for its outcome.
func (c *Client) Sale(ctx context.Context, r SaleRequest) (a SaleAnswer, err error) {
	return a, c.do(ctx, "POST", "/v1/sale", r, &a)
}

// Journal lists records, newest first. Empty states select all.
func (c *Client) Journal(ctx context.Context, limit uint16, states string) (list []journal.Record, err error) {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(int(limit)))
	}
	if states != "" {
		q.Set("state", states)
	}
	return list, c.do(ctx, "GET", "/v1/journal?"+q.Encode(), nil, &list)
}

// Record gives one record by id or trace number.
func (c *Client) Record(ctx context.Context, id string) (r journal.Record, err error) {
	return r, c.do(ctx, "GET", "/v1/journal/"+url.PathEscape(id), nil, &r)
}

// Verify recomputes the journal's totals and checks it.
func (c *Client) Verify(ctx context.Context) (r journal.Report, err error) {
	return r, c.do(ctx, "GET", "/v1/journal/verify", nil, &r)
}

// Reprint prints a record again; an empty id means the last one.
func (c *Client) Reprint(ctx context.Context, id string) error {
	return c.do(ctx, "POST", "/v1/reprint", map[string]string{"id": id}, nil)
}

// SelfTest checks every part.
func (c *Client) SelfTest(ctx context.Context) (parts []Part, err error) {
	return parts, c.do(ctx, "GET", "/v1/selftest", nil, &parts)
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("ask terminal: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://terminal"+path, body)
	if err != nil {
		return fmt.Errorf("ask terminal: %w", err)
	}
	resp, err := c.http.Do(req)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("terminald does not answer; is it running, and is this its socket? %w", dial)
	}
	if err != nil {
		return fmt.Errorf("ask terminal: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read terminal's answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var failed struct {
			Error *Error `json:"error"`
		}
		if json.Unmarshal(data, &failed) == nil && failed.Error != nil {
			failed.Error.status = resp.StatusCode
			return failed.Error
		}
		return fmt.Errorf("terminal answers %s", resp.Status)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read terminal's answer: %w", err)
	}
	return nil
}
