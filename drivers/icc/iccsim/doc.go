// Package iccsim is a contact card and what it is plugged into, at the other
// end of a wire: the bytes that a driver of drivers/icc sees are the ones that
// a card or an interface chip would send, with time and faults.
//
// It is not a card application: the Card that is inserted answers APDUs, and
// any value with three methods will do. It is not a driver's mock either: it
// takes bytes, never method calls.
//
//	line := bussim.NewUART("ICC0", &bussim.UARTOpts{Echo: true, Paced: true})
//	slot := iccsim.NewSlot(nil)
//	go slot.Serve(ctx, line.Wire())
//	slot.Insert(card)
//	dev, err := icc.NewUART(line.Port(), icc.Pins{Reset: slot.Reset, Power: slot.Power, Present: slot.Present}, nil)
//
// Slot is the contacts: after VCC and RST it sends the card's answer to reset
// in the convention of its TS, and then speaks T=0 character by character or
// T=1 block by block, as that answer says. TDA8029 is the interface chip with
// the card inside; its wire carries ALPAR frames.
//
// # T=0 and the Card
//
// A Card answers whole APDUs. In T=0 the slot decides from the INS whether the
// command carries data (Opts.Incoming), hands the card an APDU of case 1, 2 or
// 3, and keeps a response that does not fit the TPDU: 61xx and 6Cxx, GET
// RESPONSE, and a warning status before the data, as EMV 4.4 Book 1, 9.3.1.2
// and annex A have it.
//
// # Faults
//
// Faults names them by the number of the character, so a run repeats exactly.
// A corrupted character is one with wrong parity: the card ignores it, and the
// terminal gets 00, which is what Linux makes of it. ParityErrors counts the
// latter as a UART would.
//
// # Goroutines
//
// Serve starts one that reads the wire, and waits for it. Insert, Remove and
// the pins may be used from anywhere. The state survives a new Serve.
//
// # Limits
//
// The card answers an error in T=0 by silence; it cannot pull I/O low in the
// stop bit, because the wire carries bytes. PPS is not offered.
//
// # Decisions
//
//   - The protocol machines are written apart from the driver's and share only
//     the codecs of drivers/icc: a wire has one definition, its two ends do not.
package iccsim
