// Package uart is the Linux serial port of a terminal as a periph
// uart.PortCloser, and the byte-stream contract that every serial part of the
// house is written against.
//
// It is not a protocol: framing, timing between characters and retries belong
// to the driver of the part. It is not a registry either; Register only adds a
// path to periph's own uartreg, so that a board profile can say "ICC0" instead
// of a device file.
//
//	port, err := uart.Open("ICC0", "/dev/ttymxc2")
//	s, err := uart.Connect(port, 9600*physic.Hertz, periph.Two, periph.Even, periph.NoFlow, 8)
//	s.SetReadDeadline(time.Now().Add(time.Second))
//	n, err := s.Read(buf)
//	...
//	port.Connect(38400*physic.Hertz, periph.One, periph.Even, periph.NoFlow, 8) // s goes on, faster
//	port.Close()
//
// # Stream contract
//
// Read gives at least one byte, or os.ErrDeadlineExceeded when the read
// deadline has passed, or io.EOF when the other end is gone (USB adapter
// pulled, pseudo-terminal master closed), or os.ErrClosed after our own Close.
// Write gives the whole count, or the count that was accepted together with
// os.ErrDeadlineExceeded, io.ErrClosedPipe (other end gone) or os.ErrClosed.
// One reader and one writer may work at the same time; Close and the deadline
// setters may be called from anywhere and release whoever is blocked. The
// simulated port of drivers/bussim obeys the same contract and runs the same
// conformance tests.
//
// # Power cuts and killed processes
//
// Nothing is stored. A process that dies leaves no lock behind: exclusivity is
// an flock on the open file, and TIOCEXCL (which stays on the line as long as
// anyone holds it open) is used on real ports only.
//
// # Limits
//
// Linux only: Open fails with errors.ErrUnsupported elsewhere. A character
// with wrong parity arrives as 0x00, the kernel's rule without parity marking;
// protocols with a checksum notice it there. A pseudo-terminal accepts but
// forgets parity and word length. Mark and space parity need a driver that
// knows CMSPAR.
//
// # Decisions
//
//   - Own termios code instead of periph host/v3/serial: that one opens only
//     ttyS ports and never sets speed or parity.
//   - Speed by TCSETS2 with BOTHER, so that card rates such as 9600 × 372/Fi
//     and printer rates such as 250000 need no table.
//   - Input that arrived before Open is thrown away: it was meant for somebody
//     else.
//   - Tx is a write followed by a full read, because that is what a request to
//     a serial part is; Duplex therefore says conn.Half although Read and Write
//     run independently.
//   - Close does not throw away output: the kernel holds the line until the
//     bytes have left, 30 s at most on a real port. Discard first to give up at
//     once.
package uart
