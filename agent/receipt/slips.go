package receipt

import (
	"errors"
	"time"

	"posagent/agent/payment"
	"posagent/printer"
)

// Device names the terminal a slip comes from.
type Device struct {
	Model, Serial, Version string
	TerminalID             payment.TerminalID
	MerchantID             payment.MerchantID
	Time                   time.Time // local, with its zone
}

var (
	wTestPage   = word{"打印测试", "PRINT TEST"}
	wModel      = word{"型号", "MODEL"}
	wSerial     = word{"序列号", "SERIAL"}
	wVersion    = word{"版本", "VERSION"}
	wSample     = word{"国酬鑫赢龘一二三", "The quick brown fox jumps over the lazy dog"}
	wDouble     = word{"双倍", "DOUBLE"}
	wBold       = word{"粗体", "BOLD"}
	wInvert     = word{"反白", "INVERTED"}
	wPrintEnd   = word{"打印正常则以上各行清晰完整", "If every line above is whole and clear, the printer is well"}
	wActivated  = word{"终端已开通", "TERMINAL ACTIVATED"}
	wFleet      = word{"管理平台", "FLEET"}
	wThumbprint = word{"证书指纹", "CERTIFICATE"}
	wKeep       = word{"请妥善保管此单", "Please keep this slip"}
)

// TestPage shows whether the printer draws everything a receipt may hold.
func TestPage(d Device, h Header, l Lang) (*printer.Document, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	s := newSlip(printer.Report, h, l)
	s.doc.Styled(wTestPage.lines(l), large).Rule()
	s.device(d)
	s.doc.Dashes().
		Line("0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz !\"#$%&'()*+,-./:;<=>?@[]^_{|}~ ¥").
		Line(wSample.lines(Both)).
		Styled(wBold.in(l), printer.Style{Bold: true}).
		Styled(wInvert.in(l), printer.Style{Invert: true}).
		Styled(wDouble.in(l)+" 0123456789", printer.Big).
		Columns(printer.Cell{String: "L", Weight: 1},
			printer.Cell{String: "C", Weight: 1, Style: printer.Style{Align: printer.Center}},
			printer.Cell{String: "R", Weight: 1, Style: printer.Style{Align: printer.Right}}).
		Rule().Dashes().Add(printer.Rule{Kind: printer.Double})
	qr := d.Serial
	if qr == "" {
		qr = "posagent"
	}
	s.doc.QR(qr).Center(wPrintEnd.lines(l))
	return s.end()
}

// Activation is what a terminal knows when it has been activated.
type Activation struct {
	Device     Device
	Fleet      string // host name of the fleet
	Thumbprint string // of the terminal's certificate, hex
}

// ActivationSlip is the paper that proves to the merchant which terminal now
// works for whom. The header must name the merchant.
func ActivationSlip(a Activation, h Header, l Lang) (*printer.Document, error) {
	if err := errors.Join(l.check(), h.check()); err != nil {
		return nil, err
	}
	s := newSlip(printer.Report, h, l)
	s.marks(0)
	s.doc.Styled(wActivated.lines(l), large).Rule()
	s.doc.Line(wMerchant.in(l)).Styled(word{h.NameZH, h.NameEN}.lines(l), printer.Style{Bold: true})
	if h.Address != "" {
		s.doc.Line(h.Address)
	}
	s.device(a.Device)
	s.pair(wFleet, a.Fleet)
	s.pair(wThumbprint, a.Thumbprint)
	s.doc.Rule().Center(wKeep.lines(l))
	s.bottom(0)
	return s.end()
}

func (s *slip) device(d Device) {
	s.pair(wMID, string(d.MerchantID))
	s.pair(wTID, string(d.TerminalID))
	s.pair(wModel, d.Model)
	s.pair(wSerial, d.Serial)
	s.pair(wVersion, d.Version)
	s.pair(wTime, timeText(d.Time))
}
