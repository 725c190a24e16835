package display

import "time"

// Commands of the ILI9341, datasheet V1.11 section 8.2.
const (
	cmdSWRESET = 0x01 // 8.2.2 software reset
	cmdSLPIN   = 0x10 // 8.2.11 enter sleep
	cmdSLPOUT  = 0x11 // 8.2.12 leave sleep
	cmdINVOFF  = 0x20 // 8.2.15 inversion off
	cmdDISPOFF = 0x28 // 8.2.18 display off
	cmdDISPON  = 0x29 // 8.2.19 display on
	cmdCASET   = 0x2A // 8.2.20 column address set
	cmdPASET   = 0x2B // 8.2.21 page address set
	cmdRAMWR   = 0x2C // 8.2.22 memory write
	cmdMADCTL  = 0x36 // 8.2.29 memory access control
	cmdCOLMOD  = 0x3A // 8.2.33 pixel format set
)

// Bits of MADCTL, 8.2.29.
const (
	madMY  = 0x80 // row order
	madMX  = 0x40 // column order
	madMV  = 0x20 // exchange rows and columns
	madBGR = 0x08 // the glass has its sub-pixels in the order blue, green, red
)

// colmod16 selects 16 bits per pixel on both interfaces, 8.2.33.
const colmod16 = 0x55

// Waiting times.
const (
	resetPulse = 20 * time.Microsecond  // section 15.4: at least 10 µs low
	settle     = 5 * time.Millisecond   // 8.2.2, 8.2.12: before the next command
	sleepGap   = 120 * time.Millisecond // 8.2.2, 8.2.11: from reset or sleep in to sleep out, and back
)

// The glass is 240 columns by 320 rows.
const (
	glassColumns = 240
	glassRows    = 320
)

// maxTransfer is the largest SPI transfer in bytes: Linux spidev's default
// buffer. It is a multiple of the pixel size.
const maxTransfer = 4096
