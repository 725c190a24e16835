// Package scanner is a serial bar code and QR scan engine: it lights a code that
// the payer shows, and gives what the engine read.
//
// It is not a decoder of pictures and knows no payment scheme: what a code means
// and whether it was used before is decided above. It is not one vendor's engine
// either: frame and host commands are data in Opts.
//
//	dev, err := scanner.New(port, &scanner.Opts{
//		Framing: scanner.Framing{Suffix: scanner.CRLF, AIM: true, Check: scanner.CRC32},
//		Trigger: pin, // or Commands.TriggerOn and TriggerOff
//	})
//	code, err := dev.Scan(ctx)
//	switch {
//	case errors.Is(err, scanner.ErrTimeout): // nobody showed a code
//	case err == nil: pay(code.Reveal())
//	}
//	dev.Halt()
//
// # Datasheet
//
// Identifier of the symbology: ISO/IEC 15424 (AIM): ']', a letter, a modifier.
// Length of a payer's code: EMVCo QR Code Specification for Payment Systems,
// Consumer-Presented Mode 1.1, 3.1: 512 characters. Length of a QR code: ISO/IEC
// 18004, table 7, version 40-L: 4296 alphanumeric or 7089 numeric characters.
//
// # Wiring
//
// A UART with 8 data bits and no parity, 9600 baud if nothing else is said, and,
// if there is one, a trigger input of the engine on a GPIO, active low as most
// engines have it.
//
// # What is promised
//
// A code is whole: prefix, identifier, suffix, length, characters and check are as
// the Framing says, or the frame is refused. A code belongs to its Scan: what was
// on the line before is thrown away until the line was quiet for Framing.Gap. Two
// different codes in one look are neither (ErrTwoCodes).
//
// With a check (CRC16, CRC32) a damaged code is not delivered: every burst of up
// to 16 or 32 bits is noticed, other damage but for one case in 65 thousand or in
// 4 thousand million. Without a check only what breaks the frame can be noticed: a
// missing suffix, a stall longer than Gap, a character that is not in the Charset,
// a wrong length. A byte lost or changed to another good character, and two codes
// joined by the loss of the suffix between them, cannot; nor, if there is no suffix
// either, a code cut short or split by a stall. Where money hangs on the text,
// switch the engine's check on, or let the payment host refuse the code.
//
// # Secrets
//
// A payer's code is as good as money for some minutes. Code prints as its kind and
// length, also inside other values; Reveal is the only way out. The frame buffer is
// cleared after use. The codes of the last Window are remembered to refuse
// repetition and forgotten by the next Scan after it, and by Halt.
//
// # Limits
//
// Codes that hold the suffix as text need a Framing without suffix, or fail. What
// is still read after the time of a Scan is over is lost. Vendors' commands with
// parts that change from one to the next (counters) are not covered.
//
// # Power cuts
//
// Nothing is stored. Setup commands are sent again by every process.
//
// # Goroutines
//
// None of its own. One Scan or command runs at a time, others wait for it. Halt
// may come from anywhere and ends them.
//
// # Decisions
//
//   - Continuous reading is off by default: an engine that always looks reads the
//     code of the customer who is putting the phone away.
//   - After a code the line is heard until it is quiet, because two codes on one
//     screen come one after the other and the first one is not always the payer's.
//   - An acknowledgement must be the first thing after its command. Anything before
//     it may be a piece of a code, so the line is emptied and the command repeated.
//   - A bad frame triggers again, three times at most: the payer still holds the
//     phone there.
//   - A time-out is the value ErrTimeout; it also tells of the last bad frame, if
//     there was one.
package scanner
