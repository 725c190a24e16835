package contactless

import (
	"slices"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// Indicators are what pre-processing found for one combination. EMV Contactless Book B, 3.1.1, table 3-1.
type indicators struct {
	notAllowed   bool
	zeroAmount   bool
	statusCheck  bool
	floorPassed  bool
	cvmLimitPast bool
	ttq          TTQ
}

// preprocess is pure: the indicators of a combination for a transaction. unit is one unit of the currency in minor units.
// EMV Contactless Book B, 3.1.1.1 to 3.1.1.13.
func (c *Combination) preprocess(tx emv.Transaction, unit payment.Amount) (in indicators) {
	in.ttq = c.TTQ
	in.ttq.clear(TTQOnlineRequired)
	in.ttq.clear(TTQCVMRequired)
	if len(c.Types) > 0 && !slices.Contains(c.Types, tx.Type) {
		in.notAllowed = true
		return in
	}
	in.statusCheck = c.StatusCheck && tx.Amount == unit
	in.zeroAmount = tx.Amount == 0
	in.notAllowed = in.zeroAmount && (c.RefuseZero || in.ttq.Has(TTQOfflineOnly) && c.Kernel != Kernel2) ||
		c.TransactionLimit != nil && tx.Amount >= *c.TransactionLimit && !c.onDevicePast(tx.Amount)
	floor := c.Application.FloorLimit
	if c.FloorLimit != nil {
		floor = *c.FloorLimit
	}
	in.floorPassed = tx.Amount > floor
	in.cvmLimitPast = c.CVMLimit != nil && tx.Amount >= *c.CVMLimit
	if in.floorPassed || in.statusCheck || in.zeroAmount || tx.Type == emv.Refund || tx.ForceOnline {
		in.ttq.set(TTQOnlineRequired)
	}
	if in.cvmLimitPast && tx.Type != emv.Refund {
		in.ttq.set(TTQCVMRequired)
	}
	return in
}

// onDevicePast reports that a device which verifies its holder may still be used: kernel 2 decides when it knows the
// card. EMV Contactless Book C-2, 6.4 (two reader contactless transaction limits).
func (c *Combination) onDevicePast(amount payment.Amount) bool {
	return c.Kernel == Kernel2 && c.OnDeviceLimit != nil && amount < *c.OnDeviceLimit
}

// unit is one unit of the terminal's currency in minor units.
func unit(currency payment.Currency) payment.Amount {
	u := payment.Amount(1)
	for range min(currency.Exponent, 4) {
		u *= 10
	}
	return u
}
