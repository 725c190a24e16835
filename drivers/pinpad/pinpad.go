package pinpad

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/pinpad/internal/wire"
	"posagent/drivers/uart"
)

// keyFault is an error of the pad's keys.
type keyFault struct{ code, text string }

func (f *keyFault) Error() string { return "pinpad: " + f.text }

// KeyFault is a short stable name, by which a key store that may not import this
// package tells the errors apart: "no-key", "kcv", "use".
func (f *keyFault) KeyFault() string { return f.code }

// Errors a caller may branch on.
var (
	ErrNoKey  error = &keyFault{"no-key", "no key for this use"}
	ErrKCV    error = &keyFault{"kcv", "key check value does not match"}
	ErrKeyUse error = &keyFault{"use", "key use refused"}

	ErrTamper    = errors.New("pinpad: tampered, keys are gone")
	ErrNoAnswer  = errors.New("pinpad: no answer")
	ErrProtocol  = errors.New("pinpad: answer is not in the protocol")
	ErrRefused   = errors.New("pinpad: command refused")
	ErrParameter = errors.New("pinpad: wrong parameter")
	ErrBusy      = errors.New("pinpad: PIN entry under way")
	ErrHalted    = errors.New("pinpad: halted")
)

// Opts are the options of a pad.
type Opts struct {
	// Speed of the line in baud; zero for 115,200.
	Speed physic.Frequency
	// Rand gives session numbers, four bytes each; nil for crypto/rand.
	Rand io.Reader
}

// DefaultOpts are the values of the zero Opts.
var DefaultOpts = Opts{Speed: 115_200 * physic.Hertz}

// keyBuffer is how many key presses wait for a reader: longer than anyone types
// ahead.
const keyBuffer = 32

// Dev is one pad.
type Dev struct {
	port   periph.PortCloser
	stream uart.Stream
	rand   io.Reader

	calls    chan *call
	keys     chan Key
	tamper   chan struct{}
	entering chan struct{} // holds one: the PIN entry under way
	entryID  uint8         // guarded by entering

	halted   chan struct{}
	haltOnce sync.Once
	haltErr  error

	mu       sync.Mutex    // guards all below
	running  chan struct{} // closed when the present Run ends; nil when there is none
	tampered bool
	mute     bool // SetKeyboard(false): a new session must not bring keys back
}

var _ conn.Resource = (*Dev)(nil)

// New sets the speed of the port and talks to nobody yet. opts may be nil. The
// port is the device's from now on and closed by Halt.
func New(port periph.PortCloser, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	speed := opts.Speed
	if speed == 0 {
		speed = DefaultOpts.Speed
	}
	c, err := port.Connect(speed, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		return nil, fmt.Errorf("connect PIN pad on %s: %w", port, err)
	}
	stream, err := uart.AsStream(c)
	if err != nil {
		return nil, fmt.Errorf("connect PIN pad on %s: %w", port, err)
	}
	d := &Dev{
		port: port, stream: stream, rand: opts.Rand,
		calls: make(chan *call), keys: make(chan Key, keyBuffer), tamper: make(chan struct{}),
		entering: make(chan struct{}, 1), halted: make(chan struct{}),
	}
	if d.rand == nil {
		d.rand = crand.Reader
	}
	return d, nil
}

// String names the device and its port.
func (d *Dev) String() string { return fmt.Sprintf("pinpad{%s}", d.port) }

// Keys gives the keys pressed outside PIN entry, in order. It holds 32; more are
// not kept. It is never closed.
func (d *Dev) Keys() <-chan Key { return d.keys }

// Tamper is closed when the pad has said that it was opened.
func (d *Dev) Tamper() <-chan struct{} { return d.tamper }

// Halt ends Run, tells the pad to end a PIN entry, and closes the port. It is
// safe to call twice, and from any goroutine but Run's own.
func (d *Dev) Halt() error {
	d.haltOnce.Do(func() {
		close(d.halted)
		d.mu.Lock()
		running := d.running
		d.mu.Unlock()
		if running != nil {
			<-running
		}
		d.haltErr = d.port.Close()
	})
	return d.haltErr
}

// Slot is a key that the pad holds.
type Slot struct {
	Use string  // "tmk", "pin", "mac", "track"
	KCV [4]byte // key check value
}

// Info is what a pad says of itself.
type Info struct {
	Serial, Model, Firmware string
	Protocol                uint8 // version of the serial protocol
	Tampered                bool
	Slots                   []Slot // keys held
}

// Info asks the pad who it is. A tampered pad answers too. ErrNoAnswer,
// ErrProtocol.
func (d *Dev) Info(ctx context.Context) (Info, error) {
	body, err := d.do(ctx, &call{steps: []step{{wire.CmdIdentify, nil}}})
	if err != nil {
		return Info{}, fmt.Errorf("identify PIN pad: %w", err)
	}
	id, ok := wire.ParseIdentity(body)
	if !ok {
		return Info{}, fmt.Errorf("identify PIN pad: %w: identity of %d bytes", ErrProtocol, len(body))
	}
	info := Info{Serial: string(id.Serial), Model: string(id.Model), Firmware: string(id.Firmware),
		Protocol: wire.Version, Tampered: id.Tampered}
	for _, s := range id.Slots {
		info.Slots = append(info.Slots, Slot{Use: string(s.Use), KCV: s.KCV})
	}
	return info, nil
}

// LoadWorkingKey hands a working key to the pad: the key under the pad's master
// key, and its check value. use is a name the pad knows: "pin", "mac", "track".
// ErrKCV, ErrKeyUse, ErrTamper, ErrNoKey (no master key), ErrRefused, ErrNoAnswer,
// ErrProtocol.
func (d *Dev) LoadWorkingKey(ctx context.Context, use string, cryptogram, kcv []byte) error {
	var data []byte
	for _, text := range [][]byte{[]byte(use), cryptogram, kcv} {
		var ok bool
		if data, ok = wire.AppendText(data, text); !ok {
			return fmt.Errorf("load %s key: %w: %d bytes", use, ErrParameter, len(text))
		}
	}
	if len(data) > wire.MaxData {
		return fmt.Errorf("load %s key: %w: %d bytes", use, ErrParameter, len(data))
	}
	if _, err := d.do(ctx, &call{steps: []step{{wire.CmdLoadKey, data}}}); err != nil {
		return fmt.Errorf("load %s key: %w", use, err)
	}
	return nil
}

// MAC has the pad make the code over data of up to 4096 bytes. alg is a name the
// pad knows: "cup-ecb", "x9.19". ErrParameter, ErrNoKey, ErrTamper, ErrRefused,
// ErrNoAnswer, ErrProtocol.
func (d *Dev) MAC(ctx context.Context, alg string, data []byte) (mac [8]byte, err error) {
	steps, err := macSteps(alg, data)
	if err != nil {
		return mac, fmt.Errorf("make MAC: %w", err)
	}
	body, err := d.do(ctx, &call{steps: steps})
	if err != nil {
		return mac, fmt.Errorf("make MAC: %w", err)
	}
	if len(body) != len(mac) {
		return mac, fmt.Errorf("make MAC: %w: MAC of %d bytes", ErrProtocol, len(body))
	}
	return [8]byte(body), nil
}

// maxAlgorithm bounds an algorithm's name, so that name and chunk fit a frame.
const maxAlgorithm = 32

func macSteps(alg string, data []byte) ([]step, error) {
	if len(alg) > maxAlgorithm || len(data) > wire.MaxMAC {
		return nil, fmt.Errorf("%w: algorithm name of %d bytes, data of %d", ErrParameter, len(alg), len(data))
	}
	var steps []step
	for offset := 0; offset == 0 || offset < len(data); offset += wire.MACChunk {
		end := min(offset+wire.MACChunk, len(data))
		flags := uint8(0)
		if offset == 0 {
			flags |= wire.MACFirst
		}
		if end == len(data) {
			flags |= wire.MACLast
		}
		body, _ := wire.AppendText([]byte{flags}, []byte(alg)) // bounded above
		body = binary.BigEndian.AppendUint16(body, uint16(offset))
		steps = append(steps, step{wire.CmdMAC, append(body, data[offset:end]...)})
	}
	return steps, nil
}

// SetKeyboard says whether keys pressed outside PIN entry are wanted. At first
// they are.
func (d *Dev) SetKeyboard(ctx context.Context, on bool) error {
	data := []byte{0}
	if on {
		data[0] = 1
	}
	if _, err := d.do(ctx, &call{steps: []step{{wire.CmdKeyboard, data}}}); err != nil {
		return fmt.Errorf("set keyboard: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mute = !on
	return nil
}

// maxBeep is the longest sound: a pad is no alarm.
const maxBeep = 5 * time.Second

// Beep sounds for up to 5 s, in whole milliseconds; it does not wait for the end.
func (d *Dev) Beep(ctx context.Context, long time.Duration) error {
	if long < time.Millisecond || long > maxBeep {
		return fmt.Errorf("beep: %w: %s", ErrParameter, long)
	}
	data := binary.BigEndian.AppendUint16(nil, uint16(long/time.Millisecond))
	if _, err := d.do(ctx, &call{steps: []step{{wire.CmdBeep, data}}}); err != nil {
		return fmt.Errorf("beep: %w", err)
	}
	return nil
}

// statusError is the error of a command that was not done.
func statusError(s wire.Status) error {
	switch s {
	case wire.OK:
		return nil
	case wire.NoKey:
		return ErrNoKey
	case wire.BadKCV:
		return ErrKCV
	case wire.BadUse:
		return ErrKeyUse
	case wire.Tampered:
		return ErrTamper
	case wire.Busy:
		return ErrBusy
	}
	return fmt.Errorf("%w: %s (%d)", ErrRefused, s, uint8(s))
}
