package judge

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"posagent/agent/emv"
)

// Bounds of a script: a long transaction has a hundred exchanges and 20 KiB of text.
const (
	MaxScript    = 1 << 20 // bytes
	maxExchanges = 4096
	maxAPDU      = 261 // command: 5 + 255 + Le
)

// ErrScript is wrapped by every *ScriptError.
var ErrScript = errors.New("script is not valid")

// A ScriptError names the line, counted from 1, that is no script. Line 0 means the file as a whole.
type ScriptError struct {
	Line   uint32
	Reason string
}

func (e *ScriptError) Error() string {
	if e.Line == 0 {
		return "script: " + e.Reason
	}
	return fmt.Sprintf("script line %d: %s", e.Line, e.Reason)
}

func (e *ScriptError) Unwrap() error { return ErrScript }

// An Exchange is one command and the card's answer. An empty Response is a card that did not answer.
type Exchange struct {
	Line     uint32 // of the command
	Command  []byte
	Response []byte
}

// A Script is a recorded conversation with a card.
type Script struct {
	Exchanges []Exchange
}

// ParseScript reads a script. The error is a *ScriptError, or that of r.
func ParseScript(r io.Reader) (Script, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxScript+1))
	if err != nil {
		return Script{}, fmt.Errorf("read script: %w", err)
	}
	if len(text) > MaxScript {
		return Script{}, &ScriptError{Reason: fmt.Sprintf("over %d bytes", MaxScript)}
	}
	var s Script
	open := false // the last exchange waits for its answer
	number := uint32(0)
	for line := range bytes.Lines(text) {
		number++
		mark, rest, ok := cutLine(line)
		if !ok {
			continue
		}
		switch mark {
		case '>':
			command, err := parseHex(number, rest, 4, maxAPDU)
			if err != nil {
				return Script{}, err
			}
			if len(s.Exchanges) == maxExchanges {
				return Script{}, &ScriptError{number, fmt.Sprintf("over %d commands", maxExchanges)}
			}
			s.Exchanges = append(s.Exchanges, Exchange{Line: number, Command: command})
			open = true
		case '<':
			if !open {
				return Script{}, &ScriptError{number, "an answer without a command before it"}
			}
			open = false
			if rest == "mute" {
				continue
			}
			response, err := parseHex(number, rest, 2, emv.MaxResponseData+2)
			if err != nil {
				return Script{}, err
			}
			s.Exchanges[len(s.Exchanges)-1].Response = response
		default:
			return Script{}, &ScriptError{number, fmt.Sprintf("begins with %q; want '>' command, '<' answer or '#' comment", mark)}
		}
	}
	if len(s.Exchanges) == 0 {
		return Script{}, &ScriptError{Reason: "holds no command"}
	}
	s.Exchanges = foldT0(s.Exchanges)
	return s, nil
}

// cutLine splits a line into its mark and the rest without comment; an empty line has none.
func cutLine(line []byte) (mark rune, rest string, ok bool) {
	text, _, _ := strings.Cut(string(line), "#")
	text = strings.TrimSpace(strings.TrimPrefix(text, "\uFEFF"))
	for _, r := range text {
		return r, strings.TrimSpace(strings.TrimPrefix(text, string(r))), true
	}
	return 0, "", false
}

// parseHex reads hexadecimal digits with spaces between.
func parseHex(line uint32, text string, least, most int) ([]byte, error) {
	if strings.Contains(text, "*") {
		return nil, &ScriptError{line, "masked with '*': such a recording can be read but not run"}
	}
	b, err := Hex(text)
	switch {
	case err != nil:
		return nil, &ScriptError{line, err.Error()}
	case len(b) < least:
		return nil, &ScriptError{line, fmt.Sprintf("%d bytes; want at least %d", len(b), least)}
	case len(b) > most:
		return nil, &ScriptError{line, fmt.Sprintf("%d bytes; want at most %d", len(b), most)}
	}
	return b, nil
}

// ErrHex is wrapped by the errors of Hex.
var ErrHex = errors.New("not hexadecimal")

// Hex reads hexadecimal with spaces, tabs, colons or line ends between the digits.
func Hex(text string) ([]byte, error) {
	digits := make([]byte, 0, len(text))
	for _, c := range text {
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ':':
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			digits = append(digits, byte(c))
		default:
			return nil, fmt.Errorf("%w: %q", ErrHex, c)
		}
	}
	if len(digits)%2 != 0 {
		return nil, fmt.Errorf("%w: an odd number of digits, %d", ErrHex, len(digits))
	}
	out := make([]byte, len(digits)/2)
	if _, err := hex.Decode(out, digits); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHex, err)
	}
	return out, nil
}

// foldT0 joins what T=0 takes apart: ISO/IEC 7816-3, 10.3 and EMV 4.4 Book 1, 9.3.1. An answer 61xx followed by GET
// RESPONSE, or 6Cxx followed by the same command, become one exchange with the whole answer.
func foldT0(in []Exchange) []Exchange {
	out := in[:0:0]
	for i := 0; i < len(in); i++ {
		e := in[i]
		var data []byte
		for i+1 < len(in) && len(e.Response) >= 2 && t0Continues(e, in[i+1]) {
			if e.Response[len(e.Response)-2] == 0x61 {
				data = append(data, e.Response[:len(e.Response)-2]...)
			}
			i++
			e.Response = in[i].Response
		}
		if len(data) > 0 && len(e.Response) >= 2 {
			e.Response = append(data, e.Response...)
		}
		out = append(out, e)
	}
	return out
}

func t0Continues(e, next Exchange) bool {
	switch e.Response[len(e.Response)-2] {
	case 0x61:
		return next.Command[1] == 0xC0 && len(next.Command) == 5
	case 0x6C:
		return len(e.Response) == 2 && bytes.Equal(e.Command[:4], next.Command[:4]) && len(next.Command) <= len(e.Command)+1
	}
	return false
}
