// Package magstripe reads the magnetic stripe of a card: tracks 1 to 3 of ISO/IEC
// 7811-2 and -6 with the contents of ISO/IEC 7813 and ISO 4909, from three kinds
// of head.
//
// It is not a payment: which track a sale uses and whether a stripe is allowed
// at all is decided in agent.
//
//	head, err := magstripe.NewSampler(spiPort, presentPin, nil)
//	swipe, err := head.Swipe(ctx)              // waits for a card
//	t2 := swipe.Track(magstripe.Track2)        // zero if it was not accepted
//	if t2.IsZero() { why := swipe[1].Err }     // *TrackError
//	uses, ok := code.Uses()                    // code, ok := t2.ServiceCode()
//	use(t2.Reveal())                           // the one way out
//
// # Heads
//
// Sampler: the part keeps the times between flux changes, read over SPI with a
// CRC; F2F is decoded here. ShiftOut: a chip decodes into a buffer that the
// terminal clocks out over GPIO. Serial: the part sends characters in frames
// over a UART.
//
// # Wiring
//
// Sampler: SPI mode 0, one pin that is low from card to clear. ShiftOut: strobe,
// data, ready. Serial: 9600 8N1.
//
// # What is accepted
//
// A frame between sentinels with odd parity in every character, a right LRC,
// clocking zeros after it, the layout of a payment card and a card number with
// a right check digit. Tracks 1 and 2 must name the same card. A track is there
// wholly or not at all; nothing is ever corrected.
//
// # Secrets
//
// Track, PAN and Secret mask themselves in every verb of fmt, in JSON and in
// slog, also from unexported fields. Working memory is cleared after a swipe; an
// accepted text lives until the garbage collector takes it. Nothing is stored,
// so a power cut loses a swipe and no more.
//
// # Goroutines
//
// None. One goroutine calls Swipe; Halt may come from any.
//
// # Limits
//
// The parts are of a class and have the protocols of package internal/wire: no
// particular maker's command set. Format codes of track 1 other than B, card
// numbers below 12 digits, and tracks 3 beyond format code and card number are
// not taken apart. A serial head that restarts and repeats its last sequence
// number has its first swipe taken for a repetition.
//
// # Decisions
//
//   - Never bits by edge interrupts: 210 bpi at 150 cm/s is 25,000 flux changes a
//     second and track, and Linux keeps 16 edges. Edges of a pin only wake a wait.
//   - Where an edge may be the middle of a cell or its border, both readings go
//     on with a clock each and the better one wins later: ±15 % of a cell under a
//     doubling speed leaves no fixed threshold that a single clock could hold.
//   - Parity and LRC do not see four errors at the corners of a rectangle, and a
//     trembling signal makes those: a frame whose edges miss the clock by more
//     than jitter of the specified size is refused, however well it checks.
//   - A card that cannot be read is a value, not an error: Swipe fails only when
//     the part does.
package magstripe
