// Package pinpad drives a secure PIN pad with keyboard on a UART.
//
// The pad alone holds the terminal master key and the working keys, and alone
// hears the digits of a PIN. The terminal asks it to take a PIN and is given an
// enciphered block, asks it for MACs, and loads working keys that only the pad
// can decipher. Outside PIN entry the pad is the terminal's keyboard.
//
// It is not a key store: no call returns a key. It is not a secure channel
// either; see Limits.
//
//	pad, err := pinpad.New(port, &pinpad.DefaultOpts)
//	go pad.Run(ctx)                                    // whoever starts it waits for it
//	err = pad.LoadWorkingKey(ctx, "pin", cryptogram, kcv)
//	res, err := pad.EnterPIN(ctx, pinpad.PINRequest{PAN: pan, Min: 4, Max: 12, Timeout: time.Minute}, showDots)
//	switch r := res.(type) {
//	case pinpad.Entered:                               // r.Block goes into field 52
//	case pinpad.Bypassed, pinpad.Cancelled, pinpad.TimedOut:
//	}
//
// # Wiring
//
// UART, 115,200 baud, 8 data bits, no parity, one stop bit, no flow control.
//
// # Frame
//
//	STX kind session seq cmd length data CRC ETX
//	 1    1     4     1   1    2    0-512  4   1   bytes, numbers big endian
//
// STX is 02, ETX is 03. The CRC is CRC-32 (IEEE 802.3) from kind to the last
// byte of data. Kinds: 'D' carries a message, 'A' acknowledges the sequence
// number of one, 'N' says that something arrived broken, 'R' says that the pad
// does not know the session. Data is not escaped: a receiver that lost its place
// looks for the next STX behind which a whole frame with a right CRC stands, and
// 50 ms of silence inside a frame end it.
//
// # Link
//
// The terminal opens a session with a random number that every frame then
// carries; frames of another session are not heard, so nothing late from before
// a restart can be taken for an answer. Each end has one message under way at a
// time. It is repeated after 250 ms or an 'N', six times in all, and then lost.
// Sequence numbers run from 1 to 255 and round again; the receiver acknowledges
// a message that it has already and drops it. A pad that was restarted says 'R',
// and the terminal opens a new session.
//
// # Messages
//
// Text is a length byte and its bytes.
//
//	to the pad   01 open      version(1)                       -> version(1), now 2
//	             02 identify                                   -> flags(1) serial model firmware, count(1) of: use kcv(4)
//	             03 keyboard  on(1)
//	             04 load key  use cryptogram kcv               (texts)
//	             05 MAC       flags(1) algorithm offset(2) chunk(0-256)  -> in the last: MAC(8)
//	             06 enter PIN entry(1) format(1) min(1) max(1) bypass(1) timeout(4, ms) PAN
//	             07 cancel    entry(1)
//	             08 beep      duration(2, ms)
//	             09 offline PIN  entry(1) min(1) max(1) bypass(1) timeout(4, ms) challenge(8) exponent modulus
//	from the pad 80 answer    seq(1) cmd(1) status(1) body     one to each command
//	             90 key       key(1)                           outside PIN entry only
//	             91 dots      entry(1) count(1)                digits held, not which
//	             92 PIN       entry(1) outcome(1), block (8, or as long as the modulus) or status(1)
//	             93 tamper
//
// Status: 0 done, 1 unknown command, 2 malformed, 3 no key, 4 key check value, 5
// key use refused, 6 tampered, 7 busy, 8 no PIN entry, 9 failed inside. Outcome:
// 0 entered, 1 bypassed, 2 cancelled, 3 timed out, 4 aborted with a status.
// Flags of a MAC command: 1 first chunk, 2 last chunk.
//
// # PIN entry
//
// Digits fill the pad's buffer, Clear empties it, Enter ends the entry with at
// least Min digits, or with none where bypass is allowed, Cancel ends it. The
// command is answered when the pad begins to listen; message 92 ends it, exactly
// once. The pad keeps the time. A new session ends an entry without a result.
//
// # Offline PIN
//
// A PIN that the card verifies leaves the pad only enciphered under the card's
// key (EMV 4.4 Book 2, 7): the terminal hands over key and challenge and sends
// the block on in VERIFY. A plaintext offline PIN is not spoken: the card's slot
// is on another wire, and on the way there the digits would pass the terminal. A
// terminal with this pad does not support it (9F33), and its kernel goes on to
// the card's next method.
//
// # Limits
//
// The line itself is not enciphered: the card number crosses it in clear, and a
// program that owns the line could ask the cardholder for a PIN with the
// keyboard in its ordinary mode. A certified pad prevents that with prompts it
// displays and signs for itself; this protocol has no display. Format 0 of ISO
// 9564-1 is the only PIN block for a host. The pad cannot tell a card's key from
// any other: that it was certified is the terminal's word.
//
// # Power cuts and killed processes
//
// The driver keeps nothing. The pad keeps its keys; a terminal that comes back
// opens a new session, which ends whatever the old one had begun.
//
// # Goroutines
//
// Run owns the port and its reader and blocks until its context ends, Halt is
// called or the port is gone. All other methods may be called from any
// goroutine; they wait for Run, each for a bounded time.
//
// # Decisions
//
// CRC-32 rather than the CRC-16 usual in pads: a wrong MAC taken for a right one
// ends in a reversal, and the four bytes cost 0.2 ms.
//
// A session number rather than flushing the line: a pseudo-terminal, a USB
// bridge and a slow pad all hold bytes where a flush does not reach.
//
// One answer to each command and one result to each PIN entry as separate
// messages: an entry takes a minute, in which MACs and a cancellation must still
// find the line free.
//
// A PIN result is a value of one of four types, so that a caller cannot use the
// block of an entry that has none.
//
// Names of key uses and MAC algorithms cross the driver as text and are judged
// by the pad: the driver knows nothing of keys.
package pinpad
