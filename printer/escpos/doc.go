// Package escpos turns documents into ESC/POS printer bytes and such bytes back
// into commands. It is the one definition of that wire: the printer driver
// encodes with it and the paper simulator decodes with it.
//
// It does not talk to a printer and knows nothing of time. The command set is the
// part of Epson's ESC/POS that cheap printers share, as the public command
// references of Epson (TM-U295, EP-360) describe it.
//
//	var enc escpos.Encoder
//	job, err := enc.Encode(doc, &escpos.Opts{TearFeed: 80})
//	for i := range job.Len() {
//		wire.Write(job.Band(i)) // ends with GS r 1: the printer answers when it is on paper
//	}
//
//	var p escpos.Parser
//	for {
//		cmd, n := p.Next(buf)
//		if n == 0 { ... } // needs more bytes
//		buf = buf[n:]
//	}
//
// Nothing is stored and no goroutine is started.
//
// # Bands
//
// A document becomes a row of bands. A band is at most 24 dot lines of raster
// (GS v 0), trimmed at its right edge to the last black dot, after the blank lines
// above it (ESC J). Every band ends with GS r 1, which a printer executes in order
// and only when what came before has been printed: the answer says that this band
// is on paper.
//
// # Limits
//
// One ESC J unit is taken to be one dot line, as on every 203 dpi printer whose
// motion units were not changed; ESC @ at the head of a document restores them.
// The encoder sends letters only as dots; the parser understands letters in
// GB18030 too.
//
// # Decisions
//
// Raster first: every common printer draws the same dots, while printer fonts
// differ in every Chinese character beyond GB2312.
//
// Right trimming and feeding over blank lines halve the bytes. Left trimming would
// need position commands that clones disagree about.
//
// The parser is pulled and holds no data: what a command needs stays in the
// caller's buffer, a raster is handed on line by line. So a simulated printer with
// a buffer of 256 bytes behaves like one.
//
// Status bytes are encoded and decoded by the same type, State, so that driver and
// simulator cannot disagree about a bit.
package escpos
