// Package pcsc is a contact card reader behind pcscd, the PC/SC daemon of Linux:
// a client of its socket in Go alone, and an icc.Reader on top.
//
// It is for workstations and laboratories, where the reader is a USB device or
// the virtual reader of vsmartcard. A terminal's own slot is driven by package
// icc directly.
//
//	client, err := pcsc.Dial(ctx, pcsc.Socket)
//	readers, err := client.Readers(ctx)                  // names and card presence
//	r, err := client.Open(ctx, "Virtual PCD 00 00", nil) // an icc.Reader
//	err = r.Wait(ctx, true)
//	atr, err := r.Activate(ctx)
//	rapdu, err := r.Transmit(ctx, capdu)
//	r.Halt()
//	client.Close()
//
// # Datasheet
//
// PC/SC Workgroup specification 2.01, part 5; the message structures of
// pcsc-lite's socket, protocol 4:2 to 4:4 (Debian 12: pcscd 1.9.9 speaks 4:4).
// Messages are structures in the machine's byte order behind a header of size and
// command; the answer is the structure with its last field, the result, filled.
//
// # Limits
//
// Short APDUs, one card connection a client, exclusive use of the card. A reader
// without a card is polled every PollInterval: the daemon's own notification
// differs between its versions. PIN pads of readers are not used.
//
// # Errors
//
// Those of icc.Reader; *Error holds the daemon's code where no sentinel of icc
// says more. After a cancelled or broken exchange the client is closed, because
// the stream can no longer be in step; ErrClosed then.
//
// # Goroutines and power cuts
//
// None that outlives a call; a client and its reader belong to one goroutine.
// Nothing is stored.
//
// # Decisions
//
//   - The socket, not libpcsclite: no cgo, and the cross-built program stays static.
//   - The daemon negotiates protocol and speed with the card; Activate asks it to
//     take the power away and reset, so that every transaction starts cold.
//   - T=0 is completed here (61xx, 6Cxx, no Le with data), because pcscd hands T=0
//     through as it is and icc.Reader promises whole answers.
package pcsc
