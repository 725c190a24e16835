package magstripe

import (
	"fmt"
	"strings"
	"time"
)

// Expiry is the last month in which a card is valid.
type Expiry struct {
	Year  uint16
	Month uint8 // 1 to 12
}

// century completes a two-digit year: 80 to 99 are of the twentieth century.
func century(yy uint8) uint16 {
	if yy >= 80 {
		return 1900 + uint16(yy)
	}
	return 2000 + uint16(yy)
}

// Expired tells whether the month is over at t, in t's time zone.
func (e Expiry) Expired(t time.Time) bool {
	end := time.Date(int(e.Year), time.Month(e.Month)+1, 1, 0, 0, 0, 0, t.Location())
	return !t.Before(end)
}

// String is the date as 2031-12.
func (e Expiry) String() string { return fmt.Sprintf("%04d-%02d", e.Year, e.Month) }

// ServiceCode is the three digits of ISO/IEC 7813, 4.2: interchange and
// technology, authorization, services and PIN.
type ServiceCode [3]uint8

// String is the three digits.
func (c ServiceCode) String() string { return fmt.Sprintf("%d%d%d", c[0], c[1], c[2]) }

// Uses are the meanings of a service code, one bit each.
type Uses uint16

// What a service code allows and asks for.
const (
	International Uses = 1 << iota // interchange in every country
	National                       // interchange only in the issuer's country
	Private                        // no interchange but by agreement
	Test                           // a test card
	Chip                           // the card has a chip: use it where feasible
	OnlineOnly                     // the issuer must be asked
	ByAgreement                    // the issuer must be asked unless agreed otherwise
	Goods                          // goods and services
	Cash                           // cash
	ATMOnly                        // only at an ATM
	PIN                            // PIN required
	PINFeasible                    // PIN where a PIN pad is present
)

var useWords = []string{
	"international", "national", "private", "test", "chip", "online only", "online unless agreed",
	"goods and services", "cash", "ATM only", "PIN required", "PIN where feasible",
}

// Meanings of the digits, ISO/IEC 7813, table 1; absent digits are reserved.
var (
	first  = map[uint8]Uses{1: International, 2: International | Chip, 5: National, 6: National | Chip, 7: Private, 9: Test}
	second = map[uint8]Uses{0: 0, 2: OnlineOnly, 4: ByAgreement}
	third  = map[uint8]Uses{
		0: Goods | Cash | PIN, 1: Goods | Cash, 2: Goods, 3: Cash | ATMOnly | PIN, 4: Cash,
		5: Goods | PIN, 6: Goods | Cash | PINFeasible, 7: Goods | PINFeasible,
	}
)

// Uses gives the meanings of the code; ok is false if a digit is reserved.
func (c ServiceCode) Uses() (u Uses, ok bool) {
	a, okA := first[c[0]]
	b, okB := second[c[1]]
	d, okD := third[c[2]]
	return a | b | d, okA && okB && okD
}

// Has tells whether all of v are in u.
func (u Uses) Has(v Uses) bool { return u&v == v }

// String is the meanings in words, with commas.
func (u Uses) String() string {
	var words []string
	for i, w := range useWords {
		if u&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ", ")
}
