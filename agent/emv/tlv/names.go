package tlv

// A Format is how EMV writes a value, EMV 4.4 Book 3, 4.3. It decides padding in a DOL and how a value is shown.
type Format uint8

const (
	Binary              Format = iota // b, and everything the dictionary does not know
	Numeric                           // n: two digits a byte, right justified, padded with '0'
	CompressedNumeric                 // cn: two digits a byte, left justified, padded with 'F'
	Alpha                             // a
	Alphanumeric                      // an
	AlphanumericSpecial               // ans
	Variable                          // var.
)

var formatNames = [...]string{"b", "n", "cn", "a", "an", "ans", "var."}

func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return "b"
}

// A Source says who may put a data object into a transaction, EMV 4.4 Book 3, Annex A1.
type Source uint8

const (
	Unknown  Source = iota // not in the dictionary
	ICC                    // the card
	Terminal               // the terminal
	Issuer                 // the issuer, through the host
)

var sourceNames = [...]string{"unknown", "ICC", "terminal", "issuer"}

func (s Source) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return "unknown"
}

// An Entry is one line of the data object dictionary. Min and Max are the value's length in bytes; Max 0 means that the
// length is not fixed by the dictionary.
type Entry struct {
	Name     string
	Format   Format
	Source   Source
	Min, Max uint8
}

// Lookup returns the dictionary's entry for a tag.
func Lookup(t Tag) (Entry, bool) {
	e, ok := dictionary[t]
	return e, ok
}

// Name is the data object's name in the standard's words, or its hexadecimal tag when the dictionary does not know it.
func (t Tag) Name() string {
	if e, ok := dictionary[t]; ok {
		return e.Name
	}
	return t.String()
}

// Format is the data object's format; Binary when unknown.
func (t Tag) Format() Format { return dictionary[t].Format }

// Source is who writes the data object; Unknown when the dictionary does not know it.
func (t Tag) Source() Source { return dictionary[t].Source }

// dictionary is EMV 4.4 Book 3, Annex A, with the few objects of national profiles that travel beside them.
var dictionary = map[Tag]Entry{
	0x42:   {"Issuer Identification Number (IIN)", Numeric, ICC, 3, 3},
	0x4F:   {"Application Dedicated File (ADF) Name", Binary, ICC, 5, 16},
	0x50:   {"Application Label", AlphanumericSpecial, ICC, 1, 16},
	0x56:   {"Track 1 Data", AlphanumericSpecial, ICC, 0, 76},
	0x57:   {"Track 2 Equivalent Data", Binary, ICC, 0, 19},
	0x5A:   {"Application Primary Account Number (PAN)", CompressedNumeric, ICC, 1, 10},
	0x5F20: {"Cardholder Name", AlphanumericSpecial, ICC, 0, 26},
	0x5F24: {"Application Expiration Date", Numeric, ICC, 3, 3},
	0x5F25: {"Application Effective Date", Numeric, ICC, 3, 3},
	0x5F28: {"Issuer Country Code", Numeric, ICC, 2, 2},
	0x5F2A: {"Transaction Currency Code", Numeric, Terminal, 2, 2},
	0x5F2D: {"Language Preference", Alphanumeric, ICC, 2, 8},
	0x5F30: {"Service Code", Numeric, ICC, 2, 2},
	0x5F34: {"Application PAN Sequence Number", Numeric, ICC, 1, 1},
	0x5F36: {"Transaction Currency Exponent", Numeric, Terminal, 1, 1},
	0x5F50: {"Issuer URL", AlphanumericSpecial, ICC, 0, 0},
	0x5F53: {"International Bank Account Number (IBAN)", Variable, ICC, 0, 34},
	0x5F54: {"Bank Identifier Code (BIC)", Variable, ICC, 8, 11},
	0x5F55: {"Issuer Country Code (alpha2)", Alpha, ICC, 2, 2},
	0x5F56: {"Issuer Country Code (alpha3)", Alpha, ICC, 3, 3},
	0x61:   {"Application Template", Binary, ICC, 0, 252},
	0x6F:   {"File Control Information (FCI) Template", Variable, ICC, 0, 252},
	0x70:   {"READ RECORD Response Message Template", Variable, ICC, 0, 252},
	0x71:   {"Issuer Script Template 1", Binary, Issuer, 0, 0},
	0x72:   {"Issuer Script Template 2", Binary, Issuer, 0, 0},
	0x73:   {"Directory Discretionary Template", Variable, ICC, 0, 252},
	0x77:   {"Response Message Template Format 2", Variable, ICC, 0, 0},
	0x80:   {"Response Message Template Format 1", Variable, ICC, 0, 0},
	0x81:   {"Amount, Authorised (Binary)", Binary, Terminal, 4, 4},
	0x82:   {"Application Interchange Profile", Binary, ICC, 2, 2},
	0x83:   {"Command Template", Binary, Terminal, 0, 0},
	0x84:   {"Dedicated File (DF) Name", Binary, ICC, 5, 16},
	0x86:   {"Issuer Script Command", Binary, Issuer, 0, 0},
	0x87:   {"Application Priority Indicator", Binary, ICC, 1, 1},
	0x88:   {"Short File Identifier (SFI)", Binary, ICC, 1, 1},
	0x89:   {"Authorisation Code", Binary, Issuer, 6, 6},
	0x8A:   {"Authorisation Response Code", Alphanumeric, Issuer, 2, 2},
	0x8C:   {"Card Risk Management Data Object List 1 (CDOL1)", Binary, ICC, 0, 252},
	0x8D:   {"Card Risk Management Data Object List 2 (CDOL2)", Binary, ICC, 0, 252},
	0x8E:   {"Cardholder Verification Method (CVM) List", Binary, ICC, 0, 252},
	0x8F:   {"Certification Authority Public Key Index", Binary, ICC, 1, 1},
	0x90:   {"Issuer Public Key Certificate", Binary, ICC, 0, 248},
	0x91:   {"Issuer Authentication Data", Binary, Issuer, 8, 16},
	0x92:   {"Issuer Public Key Remainder", Binary, ICC, 0, 248},
	0x93:   {"Signed Static Application Data", Binary, ICC, 0, 248},
	0x94:   {"Application File Locator (AFL)", Variable, ICC, 0, 252},
	0x95:   {"Terminal Verification Results", Binary, Terminal, 5, 5},
	0x97:   {"Transaction Certificate Data Object List (TDOL)", Binary, ICC, 0, 252},
	0x98:   {"Transaction Certificate (TC) Hash Value", Binary, Terminal, 20, 20},
	0x99:   {"Transaction PIN Data", Binary, Terminal, 0, 0},
	0x9A:   {"Transaction Date", Numeric, Terminal, 3, 3},
	0x9B:   {"Transaction Status Information", Binary, Terminal, 2, 2},
	0x9C:   {"Transaction Type", Numeric, Terminal, 1, 1},
	0x9D:   {"Directory Definition File (DDF) Name", Binary, ICC, 5, 16},
	0x9F01: {"Acquirer Identifier", Numeric, Terminal, 6, 6},
	0x9F02: {"Amount, Authorised (Numeric)", Numeric, Terminal, 6, 6},
	0x9F03: {"Amount, Other (Numeric)", Numeric, Terminal, 6, 6},
	0x9F04: {"Amount, Other (Binary)", Binary, Terminal, 4, 4},
	0x9F05: {"Application Discretionary Data", Binary, ICC, 1, 32},
	0x9F06: {"Application Identifier (AID), terminal", Binary, Terminal, 5, 16},
	0x9F07: {"Application Usage Control", Binary, ICC, 2, 2},
	0x9F08: {"Application Version Number, card", Binary, ICC, 2, 2},
	0x9F09: {"Application Version Number, terminal", Binary, Terminal, 2, 2},
	0x9F0B: {"Cardholder Name Extended", AlphanumericSpecial, ICC, 27, 45},
	0x9F0D: {"Issuer Action Code, Default", Binary, ICC, 5, 5},
	0x9F0E: {"Issuer Action Code, Denial", Binary, ICC, 5, 5},
	0x9F0F: {"Issuer Action Code, Online", Binary, ICC, 5, 5},
	0x9F10: {"Issuer Application Data", Binary, ICC, 0, 32},
	0x9F11: {"Issuer Code Table Index", Numeric, ICC, 1, 1},
	0x9F12: {"Application Preferred Name", AlphanumericSpecial, ICC, 1, 16},
	0x9F13: {"Last Online Application Transaction Counter (ATC) Register", Binary, ICC, 2, 2},
	0x9F14: {"Lower Consecutive Offline Limit", Binary, ICC, 1, 1},
	0x9F15: {"Merchant Category Code", Numeric, Terminal, 2, 2},
	0x9F16: {"Merchant Identifier", AlphanumericSpecial, Terminal, 15, 15},
	0x9F17: {"Personal Identification Number (PIN) Try Counter", Binary, ICC, 1, 1},
	0x9F18: {"Issuer Script Identifier", Binary, Issuer, 4, 4},
	0x9F1A: {"Terminal Country Code", Numeric, Terminal, 2, 2},
	0x9F1B: {"Terminal Floor Limit", Binary, Terminal, 4, 4},
	0x9F1C: {"Terminal Identification", Alphanumeric, Terminal, 8, 8},
	0x9F1D: {"Terminal Risk Management Data", Binary, Terminal, 1, 8},
	0x9F1E: {"Interface Device (IFD) Serial Number", Alphanumeric, Terminal, 8, 8},
	0x9F1F: {"Track 1 Discretionary Data", AlphanumericSpecial, ICC, 0, 0},
	0x9F20: {"Track 2 Discretionary Data", CompressedNumeric, ICC, 0, 0},
	0x9F21: {"Transaction Time", Numeric, Terminal, 3, 3},
	0x9F22: {"Certification Authority Public Key Index, terminal", Binary, Terminal, 1, 1},
	0x9F23: {"Upper Consecutive Offline Limit", Binary, ICC, 1, 1},
	0x9F26: {"Application Cryptogram", Binary, ICC, 8, 8},
	0x9F27: {"Cryptogram Information Data", Binary, ICC, 1, 1},
	0x9F2D: {"ICC PIN Encipherment Public Key Certificate", Binary, ICC, 0, 248},
	0x9F2E: {"ICC PIN Encipherment Public Key Exponent", Binary, ICC, 1, 3},
	0x9F2F: {"ICC PIN Encipherment Public Key Remainder", Binary, ICC, 0, 248},
	0x9F32: {"Issuer Public Key Exponent", Binary, ICC, 1, 3},
	0x9F33: {"Terminal Capabilities", Binary, Terminal, 3, 3},
	0x9F34: {"Cardholder Verification Method (CVM) Results", Binary, Terminal, 3, 3},
	0x9F35: {"Terminal Type", Numeric, Terminal, 1, 1},
	0x9F36: {"Application Transaction Counter (ATC)", Binary, ICC, 2, 2},
	0x9F37: {"Unpredictable Number", Binary, Terminal, 4, 4},
	0x9F38: {"Processing Options Data Object List (PDOL)", Binary, ICC, 0, 0},
	0x9F39: {"Point-of-Service (POS) Entry Mode", Numeric, Terminal, 1, 1},
	0x9F3A: {"Amount, Reference Currency", Binary, Terminal, 4, 4},
	0x9F3B: {"Application Reference Currency", Numeric, ICC, 2, 8},
	0x9F3C: {"Transaction Reference Currency Code", Numeric, Terminal, 2, 2},
	0x9F3D: {"Transaction Reference Currency Exponent", Numeric, Terminal, 1, 1},
	0x9F40: {"Additional Terminal Capabilities", Binary, Terminal, 5, 5},
	0x9F41: {"Transaction Sequence Counter", Numeric, Terminal, 2, 4},
	0x9F42: {"Application Currency Code", Numeric, ICC, 2, 2},
	0x9F43: {"Application Reference Currency Exponent", Numeric, ICC, 1, 4},
	0x9F44: {"Application Currency Exponent", Numeric, ICC, 1, 1},
	0x9F45: {"Data Authentication Code", Binary, ICC, 2, 2},
	0x9F46: {"ICC Public Key Certificate", Binary, ICC, 0, 248},
	0x9F47: {"ICC Public Key Exponent", Binary, ICC, 1, 3},
	0x9F48: {"ICC Public Key Remainder", Binary, ICC, 0, 248},
	0x9F49: {"Dynamic Data Authentication Data Object List (DDOL)", Binary, ICC, 0, 252},
	0x9F4A: {"Static Data Authentication Tag List", Binary, ICC, 0, 0},
	0x9F4B: {"Signed Dynamic Application Data", Binary, ICC, 0, 248},
	0x9F4C: {"ICC Dynamic Number", Binary, ICC, 2, 8},
	0x9F4D: {"Log Entry", Binary, ICC, 2, 2},
	0x9F4E: {"Merchant Name and Location", AlphanumericSpecial, Terminal, 0, 0},
	0x9F4F: {"Log Format", Binary, ICC, 0, 0},
	0x9F5B: {"Issuer Script Results", Binary, Terminal, 0, 0},
	0x9F63: {"Card Product Identification (national)", Binary, ICC, 0, 16},
	0x9F66: {"Terminal Transaction Qualifiers", Binary, Terminal, 4, 4},
	0x9F6C: {"Card Transaction Qualifiers", Binary, ICC, 2, 2},
	0x9F6E: {"Form Factor Indicator", Binary, ICC, 0, 32},
	0xA5:   {"FCI Proprietary Template", Variable, ICC, 0, 0},
	0xBF0C: {"FCI Issuer Discretionary Data", Variable, ICC, 0, 222},
	0xDF31: {"Issuer Script Results (national)", Binary, Terminal, 0, 0},
	0xDF69: {"SM Algorithm Support Indicator (national)", Binary, Terminal, 1, 1},
}
