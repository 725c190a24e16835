package pcsc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// ErrClosed: the client was closed, by Close or because the stream broke.
var ErrClosed = errors.New("connection to pcscd is closed")

// ErrReader: pcscd has no reader of that name.
var ErrReader = errors.New("no such reader")

// ErrVersion: the daemon speaks a protocol this client does not.
var ErrVersion = errors.New("pcscd speaks another protocol version")

// Client is a connection to pcscd with one context. It belongs to one goroutine.
type Client struct {
	conn    net.Conn
	context uint32
	broken  bool
}

// Dial connects to the daemon's socket, agrees on the protocol and opens a context.
func Dial(ctx context.Context, socket string) (*Client, error) {
	return dial(ctx, func() (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	})
}

// dial offers the newest protocol first; a daemon that has an older one says so and is asked again in it.
func dial(ctx context.Context, connect func() (net.Conn, error)) (*Client, error) {
	minor := uint32(maxMinor)
	for range 2 {
		conn, err := connect()
		if err != nil {
			return nil, fmt.Errorf("connect to pcscd (is it running?): %w", err)
		}
		c := &Client{conn: conn}
		answer, err := c.call(ctx, "agree on the protocol", cmdVersion, words(major, minor, 0), 12)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		theirs := word(answer, 1)
		if Code(word(answer, 2)) == codeOK {
			if err := c.establish(ctx); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			return c, nil
		}
		c.conn.Close()
		if word(answer, 0) != major || theirs < minMinor || theirs > maxMinor || theirs == minor {
			return nil, fmt.Errorf("%w: %d:%d", ErrVersion, word(answer, 0), theirs)
		}
		minor = theirs
	}
	return nil, ErrVersion
}

func (c *Client) establish(ctx context.Context) error {
	answer, err := c.call(ctx, "open a context", cmdEstablish, words(scopeSystem, 0, 0), 12)
	if err != nil {
		return err
	}
	c.context = word(answer, 1)
	return result("open a context", word(answer, 2))
}

func result(doing string, code uint32) error {
	if Code(code) == codeOK {
		return nil
	}
	return &Error{doing, Code(code)}
}

// Close releases the context and closes the connection. It may be called twice.
func (c *Client) Close() error {
	if c.broken {
		return nil
	}
	if c.context != 0 {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if _, err := c.call(ctx, "release the context", cmdRelease, words(c.context, 0), 8); err != nil {
			return nil //nolint:nilerr // a daemon that is gone has released it
		}
	}
	c.broken = true
	return c.conn.Close()
}

// closeTime bounds polite farewells.
const closeTime = 2 * time.Second

// Readers lists the readers that the daemon has.
func (c *Client) Readers(ctx context.Context) ([]ReaderState, error) {
	b, err := c.call(ctx, "list readers", cmdReaders, nil, maxReaders*stateSize)
	if err != nil {
		return nil, err
	}
	list, err := parseReaders(b)
	if err != nil {
		return nil, c.fail("list readers", err)
	}
	return list, nil
}

// find gives the state of the reader with this name, or else of the only one whose name begins with it.
func (c *Client) find(ctx context.Context, name string) (ReaderState, error) {
	list, err := c.Readers(ctx)
	if err != nil {
		return ReaderState{}, err
	}
	var begin []ReaderState
	for _, r := range list {
		if r.Name == name {
			return r, nil
		}
		if strings.HasPrefix(r.Name, name) {
			begin = append(begin, r)
		}
	}
	switch len(begin) {
	case 0:
		return ReaderState{}, fmt.Errorf("reader %q: %w", name, ErrReader)
	case 1:
		return begin[0], nil
	}
	return ReaderState{}, fmt.Errorf("reader %q: %w: %d names begin so", name, ErrReader, len(begin))
}

// call sends one message and reads an answer of size bytes.
func (c *Client) call(ctx context.Context, doing string, command uint32, body []byte, size uint32, extra ...byte) ([]byte, error) {
	if c.broken {
		return nil, fmt.Errorf("%s: %w", doing, ErrClosed)
	}
	message := append(words(uint32(len(body)), command), body...)
	answer := make([]byte, size)
	err := c.guard(ctx, func() error {
		if _, err := c.conn.Write(append(message, extra...)); err != nil {
			return err
		}
		_, err := io.ReadFull(c.conn, answer)
		return err
	})
	if err != nil {
		return nil, c.fail(doing, err)
	}
	return answer, nil
}

// guard runs an exchange that ends soon after ctx does.
func (c *Client) guard(ctx context.Context, exchange func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	err := exchange()
	if !stop() && ctx.Err() != nil {
		return ctx.Err() // also when the answer came: the deadline is spoilt
	}
	return err
}

// fail closes the connection: whatever was under way, the stream is out of step.
func (c *Client) fail(doing string, cause error) error {
	c.broken = true
	c.conn.Close()
	return fmt.Errorf("pcscd: %s: %w", doing, cause)
}
