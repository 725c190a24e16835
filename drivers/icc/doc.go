// Package icc is a contact card reader: it powers a chip card, reads its answer
// to reset, and carries APDUs over T=0 or T=1, on a bare UART or through an
// interface chip.
//
// It knows nothing of payment: what an APDU means is the business of the
// kernel, and so is the deadline of a whole card contact (its context).
//
// A caller uses a Reader:
//
//	r, err := icc.NewUART(port, icc.Pins{Reset: rst, Power: vcc, Present: sw}, nil)
//	err = r.Wait(ctx, true)           // a card is in
//	atr, err := r.Activate(ctx)       // cold reset, warm reset if EMV asks for it
//	rapdu, err := r.Transmit(ctx, capdu)
//	err = r.Deactivate()
//	err = r.Wait(ctx, false)          // please take your card
//	r.Halt()
//
// Two parts stand behind it: UART speaks T=0 and T=1 character by character;
// TDA8029 leaves that to the chip and speaks ALPAR frames with it.
//
// # Datasheet
//
// ISO/IEC 7816-3:2006; EMV 4.4 Book 1 (Application Independent ICC to Terminal
// Interface Requirements), part II; NXP TDA8029 and its application note
// AN10207 (ALPAR frames, command and error codes).
//
// # Wiring
//
// Bare UART: transmitter (open drain) and receiver both on I/O, so that the
// UART hears itself; RST, VCC enable, CLK enable and the card switch on GPIO;
// CLK from any source of Opts.Clock. The UART must do Clock/372 baud, even
// parity, two stop bits. TDA8029: RX and TX of the chip, 38,400 8N1.
//
// # Limits
//
// Short APDUs only. A bare UART cannot pull I/O low in the stop bit, so a T=0
// character that arrived with wrong parity is not asked for again: the command
// fails instead. It is noticed only when the Stream counts parity errors
// (ParityCounter); without that, T=0 has no check of its data, as the standard
// has none. T=1 has its LRC. PPS is not used: a card in negotiable mode stays
// at 372 clocks per bit, as EMV has it; specific mode at D = 1, 2 or 4 is
// followed. The chip's line stays at 38,400 baud.
//
// # Errors
//
// ErrNoCard, ErrRemoved, ErrMute and ErrInactive say what they say; everything
// that went wrong on the way wraps ErrTransmission and the detail, such as
// *ATRError with the name of the character. A wrong command APDU is a
// *CommandError and never sent. After an error of the line the card is without
// power, so the next Activate begins from a known state.
//
// # Bounds
//
// Nothing that a card does keeps a Reader for ever: NULL bytes, waiting time
// extensions, repeats, GET RESPONSE rounds, blocks and response bytes have
// named bounds, and no command lasts longer than 90 s, or 30 s through the chip. A removal is seen within
// 20 ms by the bare UART, at once through the chip's event.
//
// # Goroutines and power cuts
//
// None of its own; a Reader belongs to one goroutine. Nothing is stored.
//
// # Decisions
//
//   - EMV's terminal rules are the default and Opts.ISO loosens them, because a
//     payment terminal that accepts more cards than EMV fails its type approval.
//   - Resynchronisation only under ISO rules: EMV has the terminal take the
//     power away after three failed attempts, and a command that may or may not
//     have been carried out must not be repeated behind the kernel's back.
//   - An answer must be followed by silence for two characters (T=0) or the
//     block guard time (T=1) before it is believed: a doubled or lost character
//     is then an error and never a wrong APDU. The time is needed before the
//     next send anyway.
//   - The ALPAR, block and answer-to-reset codecs are exported, so that
//     drivers/icc/iccsim speaks the same wire by the same definition.
package icc
