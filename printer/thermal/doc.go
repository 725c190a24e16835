// Package thermal drives a receipt printer on a serial port so that no line is
// lost or doubled unseen: the printer acknowledges every band of a document, and a
// document that stops half way is dealt with on paper.
//
// It does not lay out or draw; packages raster and escpos do. It knows printers
// that understand the common part of ESC/POS and answer DLE EOT and GS r.
//
//	dev, err := thermal.New(port, &thermal.Opts{Baud: 115200 * physic.Hertz})
//	err = dev.Print(ctx, doc)
//	var stopped *printer.Interrupted
//	if errors.As(err, &stopped) {
//		// show stopped.Status to the operator, wait until dev.Status says that it
//		// can print, then call dev.Print(ctx, doc) again
//	}
//
// # Protocol
//
// Every band ends with GS r 1, which the printer executes in order and answers only
// when the band is on paper (Epson TM-U295 command reference, p. 5-32). Bytes not
// yet acknowledged never exceed half of the printer's receive buffer. When no answer
// comes for Opts.AckTimeout, DLE EOT 1 to 4, which a printer answers at once and
// even without paper, tell why.
//
// # After an interruption
//
// Print returns *printer.Interrupted and the device remembers the document. The next
// Print first lets the printer finish what it still holds in its buffer, then:
//
//   - The whole document came out after all: nothing is printed again.
//   - The same report, and the printer has proved how far it came: it continues at
//     the next band.
//   - Otherwise, and for every payment document: the incomplete copy is voided on the
//     paper, and the whole document is printed.
//
// Another document may be printed in between; the incomplete copy before it is voided
// all the same.
//
// # Power cuts and killed processes
//
// Nothing is stored. The first Print of a process makes sure that the printer is not
// inside a picture of the process before, and flushes it if it is. What the process
// before left on paper is for the caller's print queue to know.
//
// # Limits
//
// Acknowledgements carry no number. A reply that noise invents lets Print return while
// the last band is still moving; a reply that noise eats makes it void a copy that was
// complete. Damaged dots cannot be seen at all; damaged commands mostly end without an
// acknowledgement. Printers without a way back are not served.
//
// # Goroutines
//
// None of its own. Print, Void and Status may be called from any goroutine and wait for
// each other; only Halt interrupts.
//
// # Decisions
//
// A silent, babbling or contradictory printer is a named Status in an Interrupted error
// after a bounded time, not an error of the wire: the operator can do something about it.
//
// The void line is printed by the device and not by the receipt, because only the device
// knows that a copy is incomplete.
//
// Whether a document is the same is decided by its bytes: a reprint carries its mark and
// is another document.
package thermal
