package iso14443sim

// Fault is what goes wrong with one frame of the reader and its answer.
type Fault struct {
	// Lose: no card hears the frame.
	Lose bool
	// Damage: cards get the frame with a bit flipped.
	Damage bool
	// Drop: the reader hears nothing of the answer.
	Drop bool
	// Garble: the reader's chip says that the answer is damaged.
	Garble bool
	// Flip: the answer has so many bits flipped, and the chip does not notice.
	// A CRC finds up to three.
	Flip uint8
	// Cut: the answer lacks its last byte, and the chip does not notice. CRC_A
	// finds 255 of 256 such frames, because it ends in no inversion.
	Cut bool
	// Stall: cards take so many times longer to answer; 0 is as long as ever.
	Stall uint8
	// PullBefore takes all cards out before the frame, PullAfter between the
	// frame and its answer.
	PullBefore, PullAfter bool
	// Add is placed in the field before the frame, with its power already up.
	Add *PICC
}

// Plan tells the fault of frame n, counted from 0 since SetPlan.
type Plan func(n uint32) Fault

// flip inverts bits of data that are spread over it, by the number of the
// frame. Different k give different bits as long as data has that many.
func flip(data []byte, n uint32, count uint8) {
	bits := uint32(len(data)) * 8
	if bits == 0 {
		return
	}
	seen := make(map[uint32]bool)
	for k := uint32(0); k < uint32(count) && k < bits; k++ {
		at := (n*2_654_435_761 + k*40_503) % bits
		for seen[at] {
			at = (at + 1) % bits
		}
		seen[at] = true
		data[at/8] ^= 1 << (at % 8)
	}
}
