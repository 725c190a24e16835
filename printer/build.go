package printer

// LineDots is the height of one line of normal text in dots: 24 for the
// letters and 6 of space.
const LineDots = 30

// NewDocument returns an empty document for 58 mm paper.
func NewDocument(kind Kind) *Document {
	return &Document{Kind: kind, Width: Width58mm}
}

// Add appends elements and returns the document, as every method below does.
func (d *Document) Add(e ...Element) *Document {
	d.Elements = append(d.Elements, e...)
	return d
}

// Line adds plain text at the left edge.
func (d *Document) Line(text string) *Document { return d.Styled(text, Style{}) }

// Center adds plain text in the middle.
func (d *Document) Center(text string) *Document {
	return d.Styled(text, Style{Align: Center})
}

// Title adds bold text of double size in the middle.
func (d *Document) Title(text string) *Document {
	return d.Styled(text, Style{Bold: true, Width: 2, Height: 2, Align: Center})
}

// Styled adds text in the given style.
func (d *Document) Styled(text string, s Style) *Document {
	return d.Add(Text{String: text, Style: s})
}

// Pair adds a label at the left edge and its value at the right edge.
func (d *Document) Pair(left, right string) *Document {
	return d.PairStyled(left, right, Style{})
}

// PairStyled adds a plain label and a value in the given style.
func (d *Document) PairStyled(left, right string, value Style) *Document {
	value.Align = Right
	return d.Columns(Cell{String: left}, Cell{String: right, Style: value, Weight: 1})
}

// Columns adds cells side by side.
func (d *Document) Columns(cells ...Cell) *Document { return d.Add(Columns{Cells: cells}) }

// Rule adds a solid rule.
func (d *Document) Rule() *Document { return d.Add(Rule{}) }

// Dashes adds a dashed rule.
func (d *Document) Dashes() *Document { return d.Add(Rule{Kind: Dashed}) }

// Blank adds n empty lines of normal text height.
func (d *Document) Blank(n uint8) *Document {
	return d.Add(Feed{Dots: uint16(n) * LineDots})
}

// Feed adds empty paper of the given number of dot lines.
func (d *Document) Feed(dots uint16) *Document { return d.Add(Feed{Dots: dots}) }

// QR adds a code of medium error correction in the middle.
func (d *Document) QR(data string) *Document { return d.Add(QR{Data: data, Align: Center}) }

// Image adds a picture in the middle.
func (d *Document) Image(b *Bitmap) *Document { return d.Add(Image{Bitmap: b, Align: Center}) }

// Cut ends the piece of paper.
func (d *Document) Cut() *Document { return d.Add(Cut{}) }
