package iso14443

import "time"

// carrier is the duration of n cycles of fc = 13.56 MHz.
func carrier(n uint64) time.Duration {
	return time.Duration(n * 25_000 / 339) // 10^9 ns / 13.56 * 10^6, reduced
}

// Waiting times as numbers of carrier cycles. Book D, annex A, unless another
// source is given.
const (
	// fcATQA: an answer of type A to anticollision begins 1,172 or 1,236 cycles
	// after the request (FDTA,PICC,MIN). The rest, 0.9 ms, is for the timer of
	// the chip.
	fcATQA = 13_560
	// fcATQB: FWTATQB. ATTRIB is answered in the same time.
	fcATQB = 7_680
	// fcActivation: FWTACTIVATION, for RATS; PPS and DESELECT use it too.
	fcActivation = 71_680
	// fcDelta: what the reader adds to FWT (delta FWT).
	fcDelta = 49_152
	// fcGuard: no frame of the reader sooner after one of the card:
	// FDTA,PCD,MIN and FDTB,PCD,MIN.
	fcGuard = 6_780
	// fcHalt: an answer in 1 ms would mean that HLTA was not taken
	// (ISO/IEC 14443-3, 6.4.3).
	fcHalt = 13_560
	// fcUnit: FWT and SFGT are powers of two of it (ISO/IEC 14443-4, 7.2).
	fcUnit = 4_096
	// fcStart: what the reader adds to SFGT (delta SFGT), for SFGI = 0.
	fcStart = 384
)

// retransmit is the pause before an activation command is sent again:
// tRETRANSMISSION, 3 ms to 33 ms.
const retransmit = 3 * time.Millisecond

const (
	// maxFWI: 15 is reserved, and read as 4 (ISO/IEC 14443-4, 5.2.5).
	maxFWI     = 14
	defaultFWI = 4
	// maxSFGI: 15 is reserved, and read as 0.
	maxSFGI = 14
	// maxWTXM: ISO/IEC 14443-4, 7.3.
	maxWTXM = 59
)

// FWT is the frame waiting time of a card, 302 us to 4.95 s. A reserved fwi
// counts as 4.
func FWT(fwi uint8) time.Duration {
	if fwi > maxFWI {
		fwi = defaultFWI
	}
	return carrier(fcUnit << fwi)
}

// extended is the frame waiting time after a request for m times more, never
// beyond the longest there is, and delta FWT.
func extended(fwi, m uint8) time.Duration {
	return min(FWT(fwi)*time.Duration(m), FWT(maxFWI)) + carrier(fcDelta)
}

// SFGT is the start-up frame guard time that a card needs after its ATS, with
// what the reader adds. SFGI 0 needs none.
func SFGT(sfgi uint8) time.Duration {
	if sfgi == 0 || sfgi > maxSFGI {
		return 0
	}
	return carrier((fcUnit + fcStart) << sfgi)
}

// minTR2 is the least time between a frame of a type B card and the next of
// the reader, by the two bits of its ATQB (ISO/IEC 14443-3, 7.9.4.4).
func minTR2(code uint8) time.Duration {
	return carrier(max(fcGuard, [4]uint64{1_792, 3_328, 5_376, 9_472}[code&3]))
}

// frameSizes are FSD and FSC by their index: ISO/IEC 14443-4, 5.1. Larger
// indices count as 256 here, because no block here is longer.
var frameSizes = [...]uint16{16, 24, 32, 40, 48, 64, 96, 128, 256}

// FrameSize is the size of a frame in bytes, check included, by FSCI or FSDI.
func FrameSize(index uint8) uint16 {
	return frameSizes[min(int(index), len(frameSizes)-1)]
}

// frameIndex is the FSDI of the largest size that fits.
func frameIndex(size uint16) uint8 {
	i := uint8(len(frameSizes) - 1)
	for i > 0 && frameSizes[i] > size {
		i--
	}
	return i
}
