package icc

import "fmt"

// CheckEMV applies the rules that EMV 4.4 Book 1, section 8.3 puts on an
// answer to reset: the terminal rejects what they do not allow, which means a
// warm reset after a cold one and no power after a warm one. warm loosens TB1.
// The error is an *ATRError.
func (a *ATR) CheckEMV(warm bool) error {
	for _, check := range []func(bool) error{a.emv1, a.emv2, a.emvT1} {
		if err := check(warm); err != nil {
			return err
		}
	}
	return nil
}

func refuse(char string, c Interface, reason string) error {
	return &ATRError{char, c.Value, reason}
}

// emv1 checks TB1 and TD1 (8.3.3.2 and 8.3.3.4); TA1 binds only in specific
// mode and TC1 may have any value (8.3.3.1, 8.3.3.3).
func (a *ATR) emv1(warm bool) error {
	g := a.group(1)
	if !warm && (!g.TB.Present || g.TB.Value != 0) {
		return refuse("TB1", g.TB, "a cold reset must be answered with 00")
	}
	if g.TD.Present && g.TD.Value&0x0F > 1 {
		return refuse("TD1", g.TD, "offers neither T=0 nor T=1 first")
	}
	return nil
}

// emv2 checks TA2, TB2, TC2 and TD2 (8.3.3.5 to 8.3.3.8).
func (a *ATR) emv2(bool) error {
	g, td1 := a.group(2), a.group(1).TD
	if err := a.specific(); err != nil {
		return err
	}
	if g.TB.Present {
		return refuse("TB2", g.TB, "must be absent")
	}
	if g.TC.Present && g.TC.Value == 0 {
		return refuse("TC2", g.TC, "a waiting time integer of 0")
	}
	if g.TD.Present {
		low, first := g.TD.Value&0x0F, td1.Value&0x0F
		if !(first == 0 && low == 0x0E || low == 0x01) {
			return refuse("TD2", g.TD, "names neither T=1 nor, after T=0, T=14")
		}
	}
	return nil
}

// specific checks TA2 and the TA1 that it puts in force: F = 372 and D of 1, 2
// or 4 (8.3.3.5). It is a rule of ISO mode too, because the driver can serve
// nothing else.
func (a *ATR) specific() error {
	ta2, td1, ta1 := a.group(2).TA, a.group(1).TD, a.group(1).TA
	if !ta2.Present {
		return nil
	}
	switch {
	case ta2.Value&0x0F != td1.Value&0x0F:
		return refuse("TA2", ta2, "names another protocol than TD1")
	case ta2.Value&0x10 != 0:
		return refuse("TA2", ta2, "asks for implicit parameters")
	case ta1.Present && (ta1.Value < 0x11 || ta1.Value > 0x13):
		return refuse("TA1", ta1, "in specific mode, want 11 to 13")
	}
	return nil
}

// emvT1 checks TA3, TB3 and TC3 of a T=1 card (8.3.3.9 to 8.3.3.11).
func (a *ATR) emvT1(bool) error {
	if a.Protocol() != T1 {
		return nil
	}
	g, i := a.t1Group()
	name := func(c string) string { return fmt.Sprintf("T%s%d", c, i) }
	if err := a.ifsc(); err != nil {
		return err
	}
	if !g.TB.Present {
		return refuse(name("B"), g.TB, "must be present with T=1")
	}
	bwi, cwi := g.TB.Value>>4, g.TB.Value&0x0F
	if bwi > 4 {
		return refuse(name("B"), g.TB, "BWI above 4")
	}
	if cwi > 5 {
		return refuse(name("B"), g.TB, "CWI above 5")
	}
	// 2^CWI > N+1, where N = 255 counts as -1 (8.3.3.10).
	n := int32(a.group(1).TC.Value)
	if n == 255 {
		n = -1
	}
	if int32(1)<<cwi <= n+1 {
		return refuse(name("B"), g.TB, fmt.Sprintf("CWI too small for an extra guard time of %d", n))
	}
	if g.TC.Present && g.TC.Value != 0 {
		return refuse(name("C"), g.TC, "an EDC other than LRC")
	}
	return nil
}

// ifsc checks the information field size of the card: 16 to 254 (8.3.3.9).
func (a *ATR) ifsc() error {
	g, i := a.t1Group()
	if g.TA.Present && (g.TA.Value < 0x10 || g.TA.Value == 0xFF) {
		return refuse(fmt.Sprintf("TA%d", i), g.TA, "an information field size outside 10 to FE")
	}
	return nil
}

// checkISO is what the driver needs of any card: a protocol, parameters and a
// clock that it can serve. Waiting times take their ISO defaults.
func (a *ATR) checkISO() error {
	if td1 := a.group(1).TD; a.Protocol() > T1 {
		return refuse("TD1", td1, "offers neither T=0 nor T=1 first")
	}
	if tc2 := a.group(2).TC; a.Protocol() == T0 && tc2.Present && tc2.Value == 0 {
		return refuse("TC2", tc2, "a waiting time integer of 0")
	}
	if err := a.specific(); err != nil {
		return err
	}
	if a.Protocol() == T1 {
		g, i := a.t1Group()
		if g.TB.Present && g.TB.Value>>4 > 9 {
			return refuse(fmt.Sprintf("TB%d", i), g.TB, "BWI above 9")
		}
		return a.ifsc()
	}
	return nil
}
