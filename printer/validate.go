package printer

import "fmt"

// Bounds of a document. They keep a faulty template from using up a roll or the
// memory of a terminal.
const (
	// MaxElements is about eight metres of lines.
	MaxElements = 2048
	// MaxText is the length in bytes of one text or cell.
	MaxText = 4096
	// MaxCells is the number of cells side by side.
	MaxCells = 16
	// MinWidth and MaxWidth bound the paper in dots (112 mm paper has 832).
	MinWidth, MaxWidth = 192, 832
	// MaxImageHeight is the height of one image in dots.
	MaxImageHeight = 2048
	// MaxQRData is the capacity in bytes of the largest QR code at the lowest
	// error correction, ISO/IEC 18004:2015, table 7.
	MaxQRData = 2953
)

// InvalidError names the first element that cannot be printed.
type InvalidError struct {
	// Element is the index in Document.Elements, or -1 for the document itself.
	Element int
	// Field and Reason say what is wrong with it.
	Field, Reason string
}

func (e *InvalidError) Error() string {
	if e.Element < 0 {
		return fmt.Sprintf("document: %s: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("document element %d: %s: %s", e.Element, e.Field, e.Reason)
}

// Dots is the paper's width in dots, with the default filled in.
func (d *Document) Dots() int {
	if d.Width == 0 {
		return Width58mm
	}
	return d.Width
}

// Validate checks every bound; its error is an *InvalidError. Whether a QR
// code's data fits the paper is only known to the layout.
func (d *Document) Validate() error {
	w := d.Dots()
	switch {
	case w < MinWidth || w > MaxWidth || w%8 != 0:
		return &InvalidError{-1, "Width", fmt.Sprintf("%d dots, want %d to %d in steps of 8", w, MinWidth, MaxWidth)}
	case d.Kind > Report:
		return &InvalidError{-1, "Kind", fmt.Sprintf("%d is not known", d.Kind)}
	case len(d.Elements) == 0:
		return &InvalidError{-1, "Elements", "empty"}
	case len(d.Elements) > MaxElements:
		return &InvalidError{-1, "Elements", fmt.Sprintf("%d, want at most %d", len(d.Elements), MaxElements)}
	}
	for i, e := range d.Elements {
		if field, reason := check(e, w); reason != "" {
			return &InvalidError{i, field, reason}
		}
		if _, cut := e.(Cut); cut && d.Kind == Payment && i < len(d.Elements)-1 {
			return &InvalidError{i, "Cut", "a payment document is one copy and ends with its cut"}
		}
	}
	return nil
}

func check(e Element, width int) (field, reason string) {
	switch e := e.(type) {
	case Text:
		return checkText(e.String, e.Style)
	case Columns:
		if n := len(e.Cells); n == 0 || n > MaxCells {
			return "Cells", fmt.Sprintf("%d, want 1 to %d", n, MaxCells)
		}
		for _, c := range e.Cells {
			if field, reason = checkText(c.String, c.Style); reason != "" {
				return field, reason
			}
		}
	case Rule:
		if e.Kind > Double {
			return "Kind", fmt.Sprintf("%d is not known", e.Kind)
		}
	case QR:
		return checkQR(e)
	case Image:
		return checkImage(e, width)
	case Feed, Cut:
	default:
		return "type", fmt.Sprintf("%T cannot be printed", e)
	}
	return "", ""
}

func checkText(s string, st Style) (field, reason string) {
	switch {
	case len(s) > MaxText:
		return "String", fmt.Sprintf("%d bytes, want at most %d", len(s), MaxText)
	case st.Width > 2 || st.Height > 2:
		return "Style", fmt.Sprintf("size %dx%d, want 1 or 2", st.Width, st.Height)
	case st.Align > Right:
		return "Style", fmt.Sprintf("align %d is not known", st.Align)
	}
	return "", ""
}

func checkQR(e QR) (field, reason string) {
	switch {
	case e.Data == "" || len(e.Data) > MaxQRData:
		return "Data", fmt.Sprintf("%d bytes, want 1 to %d", len(e.Data), MaxQRData)
	case e.ECC > ECCHigh:
		return "ECC", fmt.Sprintf("%d is not known", e.ECC)
	case e.ModuleSize > 16:
		return "ModuleSize", fmt.Sprintf("%d dots, want at most 16", e.ModuleSize)
	case e.Align > Right:
		return "Align", fmt.Sprintf("%d is not known", e.Align)
	}
	return "", ""
}

func checkImage(e Image, width int) (field, reason string) {
	b := e.Bitmap
	switch {
	case b == nil || b.Width <= 0 || b.Height <= 0:
		return "Bitmap", "empty"
	case b.Width%8 != 0 || len(b.Pix) != b.Width/8*b.Height:
		return "Bitmap", fmt.Sprintf("%d bytes do not make %dx%d dots", len(b.Pix), b.Width, b.Height)
	case b.Width > width:
		return "Bitmap", fmt.Sprintf("%d dots wide on paper of %d", b.Width, width)
	case b.Height > MaxImageHeight:
		return "Bitmap", fmt.Sprintf("%d dots high, want at most %d", b.Height, MaxImageHeight)
	case e.Align > Right:
		return "Align", fmt.Sprintf("%d is not known", e.Align)
	}
	return "", ""
}
