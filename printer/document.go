package printer

// Width58mm and Width80mm are the printable widths of the two usual papers, in
// dots at 8 dots per millimetre.
const (
	Width58mm = 384
	Width80mm = 576
)

// ColumnDots is the width of one text column in dots.
const ColumnDots = 12

// Kind says what a document means, and so what must happen to a copy that was
// interrupted half way.
type Kind uint8

const (
	// Payment is a receipt that stands for money. An incomplete copy is voided
	// on the paper itself and the whole copy is printed again.
	Payment Kind = iota
	// Report is any other slip. It continues where it stopped when the printer
	// can prove where that was.
	Report
)

// String returns "payment" or "report".
func (k Kind) String() string {
	if k == Report {
		return "report"
	}
	return "payment"
}

// Document is one piece of paper from its first line to its cut.
type Document struct {
	// Kind is the policy after an interruption. The zero value is Payment, the
	// careful one.
	Kind Kind
	// Width is the printable width in dots, a multiple of 8. Zero means
	// Width58mm.
	Width int
	// Elements are printed from top to bottom.
	Elements []Element
}

// Element is one of Text, Columns, Rule, Feed, QR, Image and Cut.
type Element interface{ element() }

// Align places text, a code or an image between the paper's edges. Text is
// placed on the column grid, everything else on whole bytes (8 dots).
type Align uint8

const (
	Left Align = iota
	Center
	Right
)

// Style is how text is drawn. The zero value is plain text.
type Style struct {
	Bold      bool
	Underline bool
	// Invert draws white letters on black.
	Invert bool
	// Width and Height multiply the size of a letter: 0 and 1 are normal, 2 is
	// double.
	Width, Height uint8
	Align         Align
}

// Big is a style of double width and height.
var Big = Style{Width: 2, Height: 2}

// Text is a paragraph. A line feed in String starts a new line, a line longer
// than the paper is wrapped.
type Text struct {
	String string
	Style  Style
}

// Cell is one cell of Columns. Its Style.Align places text inside the cell.
type Cell struct {
	String string
	Style  Style
	// Weight shares out the columns left over by cells of weight zero, which are
	// as wide as their text.
	Weight uint8
}

// Columns puts cells side by side with one empty column between them. A cell
// too narrow for its text grows downwards. Cells that cannot stand side by side
// at all are printed one below the other.
type Columns struct{ Cells []Cell }

// RuleKind is the look of a Rule.
type RuleKind uint8

const (
	Solid RuleKind = iota
	Dashed
	Double
)

// Rule is a horizontal line over the whole paper.
type Rule struct{ Kind RuleKind }

// Feed is empty paper of Dots dot lines (8 dots are 1 mm). The layout rounds up
// to its vertical grid of 6 dots.
type Feed struct{ Dots uint16 }

// ECC is the error correction level of a QR code, ISO/IEC 18004:2015, 6.5.1.
type ECC uint8

const (
	ECCMedium ECC = iota // about 15 % of the code may be lost
	ECCLow               // 7 %
	ECCQuartile
	ECCHigh // 30 %
)

// QR is a two-dimensional code.
type QR struct {
	Data string
	ECC  ECC
	// ModuleSize is the edge of one module in dots, 1 to 16. Zero takes the
	// largest of 3 to 6 that fits the paper with its quiet zone.
	ModuleSize uint8
	Align      Align
}

// Image is a picture of single dots, for example a logo or a signature. It must
// not be wider than the paper.
type Image struct {
	Bitmap *Bitmap
	Align  Align
}

// Cut ends a piece of paper: a printer with a cutter cuts, one with a tear bar
// feeds until the last line is past the bar. In a Payment it may only come last:
// a copy that has been cut off can no longer be voided.
type Cut struct{}

func (Text) element()    {}
func (Columns) element() {}
func (Rule) element()    {}
func (Feed) element()    {}
func (QR) element()      {}
func (Image) element()   {}
func (Cut) element()     {}
