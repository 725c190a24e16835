// Package printer says what comes out on paper: a Document is a list of
// elements (text, columns, rules, QR codes, images), a Status is what the
// printer has to say about itself, and an Interrupted error tells that a
// document stopped half way.
//
// It is not a device and draws nothing. Package raster lays a document out and
// draws it as dots, package escpos turns the dots into printer bytes, package
// thermal drives the printer that eats them. All of them start from the same
// Document, so that paper, picture and plain text cannot disagree.
//
//	doc := printer.NewDocument(printer.Payment)
//	doc.Title("测试商户").Rule()
//	doc.Pair("商户编号", "898310054110001")
//	doc.Pair("金额 AMOUNT", "CNY 12.00")
//	doc.QR("https://example.test/r/42")
//	doc.Cut()
//	if err := doc.Validate(); err != nil { ... }
//
// Nothing here survives a power cut and nothing here owns a goroutine. A
// Document may be read from several goroutines once it is built.
//
// # Decisions
//
// Text is placed on a grid of columns. A column is 12 dots: one Latin letter is
// one column, one Chinese character two. Paper of 384 dots (58 mm at 8 dots per
// millimetre) has 32 columns. The grid keeps amounts aligned and lets a judge
// read text back from the dots.
//
// Text that does not fit is wrapped and never cut. Text that no font can draw
// is replaced by a visible box and reported by the layout, never left out.
//
// Kind is a property of the document because the rule after an interruption
// belongs to its meaning: half a payment receipt must be voided on paper, half
// a report may go on where it stopped.
//
// Element is a closed set: the layout, the text preview and the encoder each
// switch over it, and a foreign element would be missing from one of them.
package printer
