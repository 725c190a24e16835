// Package raster lays a printer.Document out on paper and draws it as single
// dots. The same layout gives the bitmap that is printed, its picture as PNG and
// its plain text, so that none of them can disagree.
//
// It is not a general text renderer: one size of letters on a fixed grid of 12
// by 6 dots, no shaping, no right-to-left order, no anti-aliasing.
//
//	page, err := raster.Layout(doc)
//	if err != nil { ... }          // *printer.InvalidError names the element
//	if len(page.Missing) > 0 { ... } // drawn as boxes, worth a warning
//	var dots printer.Bitmap        // may be used again for the next page
//	page.Draw(&dots)
//	fmt.Print(page.Text())
//
// Nothing is stored and no goroutine is started; a Page may be read from several
// goroutines.
//
// # Glyphs
//
// The table glyphs24.bin holds all of GBK, U+4E00 to U+9FFF, CJK extension A and
// Latin with marks as far as the font has them: 28,701 glyphs of 12 or 24 by 24
// dots. build/fontgen makes it from a Debian font package, glyphs24.sha256 is its
// hash and OFL.txt its licence. It is embedded raw, so that it stays in the page
// cache and costs no time at start.
//
// A code point without a glyph is drawn as a box, as wide as its script usually
// is, and reported in Page.Missing. That includes control, bidirectional and
// variation characters: paper shows that something was there.
//
// # Decisions
//
// Everything stands on a grid of one column (12 dots) by six dot lines, and a
// line of text is 24 dots of letters and 6 of space. Text can therefore be read
// back from the dots by comparing cells with the glyph table, which is how the
// paper simulator judges what was really printed.
//
// Bold is the glyph drawn twice, one dot apart, inside its own cell; double size
// repeats dots. Both keep the grid.
//
// The underline lies in the space below the letters, where it touches no glyph.
//
// Lines are broken at spaces and between Chinese characters; a closing
// punctuation mark does not start a line. A word longer than its line is broken
// where the line ends: nothing is cut off.
//
// A column whose longest word would have to be broken moves to a line of its own:
// a reference number stays in one piece.
package raster
