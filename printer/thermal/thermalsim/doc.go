// Package thermalsim is a thermal receipt printer at the far end of a wire: it
// executes the ESC/POS bytes that arrive, moves paper at mechanism speed, runs out
// of it, opens its cover, gets hot, goes silent or babbles, and keeps what it has
// printed as dots.
//
// It is not a preview of a document. Picture and text of the paper come from the
// bytes and from nothing else, so that a test can judge what really left the
// terminal.
//
//	part := thermalsim.New(&thermalsim.Opts{Speed: 50, PaperDots: 2000})
//	go part.Serve(ctx, line.Wire()) // any io.ReadWriter
//	...
//	part.Load(20000)                // new roll
//	sheet := part.Tear()
//	fmt.Print(sheet.Text())
//	os.WriteFile("receipt.png", sheet.PNG(), 0o644)
//
// Paper, buffer and switches outlive a Serve: a terminal may be killed and come
// back while the printer stays on. SetPower forgets the buffer and keeps the paper. Time is plain package time.
//
// # Behaviour
//
// Bytes enter a receive buffer of Opts.RXBuffer bytes; what does not fit is lost
// and counted. DLE EOT is answered at the receiver, at once, always, even where the
// three bytes are part of a picture. Everything else waits in the buffer while the
// printer is offline (no paper, cover open, head hot, fault) and goes on afterwards
// where it stopped. GS r is executed in order, after what came before it has been
// printed: Epson TM-U295 command reference, p. 5-32.
//
// # Text
//
// Sheet.Text reads the dots: every cell of the column grid is compared with the
// glyph table, plain, bold, inverted and in double sizes. A character whose picture
// equals that of another reads as the more usual one. What is no text reads as
// "[graphic]".
//
// # Goroutines
//
// Serve runs a receiver, a mechanism and a sender, and returns when all have ended.
//
// # Limits
//
// Bar codes, page mode and bit images in ESC * are passed over and counted as
// unknown. Heat is a switch, not a model.
package thermalsim
