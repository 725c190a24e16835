package emv

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// A bit of an EMV field is its byte number, counted from 1 as the standard does, in the high byte and its mask in the
// low byte.
type bit = uint16

func has(field []byte, b bit) bool {
	i := int(b>>8) - 1
	return i >= 0 && i < len(field) && field[i]&byte(b) != 0
}

func set(field []byte, b bit) {
	if i := int(b>>8) - 1; i >= 0 && i < len(field) {
		field[i] |= byte(b)
	}
}

func unset(field []byte, b bit) {
	if i := int(b>>8) - 1; i >= 0 && i < len(field) {
		field[i] &^= byte(b)
	}
}

// words lists the names of the bits that are set; bits without a name appear as "byte n mask xx".
func words[B ~uint16](field []byte, names map[B]string) []string {
	var out []string
	for i, c := range field {
		for m := byte(0x80); m != 0; m >>= 1 {
			if c&m == 0 {
				continue
			}
			if name, ok := names[B(i+1)<<8|B(m)]; ok {
				out = append(out, name)
			} else {
				out = append(out, fmt.Sprintf("byte %d mask %02X", i+1, m))
			}
		}
	}
	return out
}

func inWords(field []byte, list []string) string {
	if len(list) == 0 {
		return strings.ToUpper(hex.EncodeToString(field))
	}
	return strings.ToUpper(hex.EncodeToString(field)) + " (" + strings.Join(list, "; ") + ")"
}

// TVR is the Terminal Verification Results, tag 95. EMV 4.4 Book 3, Annex C5.
type TVR [5]byte

// A TVRBit is one bit of the TVR.
type TVRBit bit

// The bits of the TVR, EMV 4.4 Book 3, Annex C5, table 46 (EMV 4.3: table 42).
const (
	ODANotPerformed     TVRBit = 0x0180
	SDAFailed           TVRBit = 0x0140
	ICCDataMissing      TVRBit = 0x0120
	OnExceptionFile     TVRBit = 0x0110
	DDAFailed           TVRBit = 0x0108
	CDAFailed           TVRBit = 0x0104
	SDASelected         TVRBit = 0x0102
	VersionsDiffer      TVRBit = 0x0280
	ApplicationExpired  TVRBit = 0x0240
	NotYetEffective     TVRBit = 0x0220
	ServiceNotAllowed   TVRBit = 0x0210
	NewCard             TVRBit = 0x0208
	CVMFailed           TVRBit = 0x0380
	UnrecognisedCVM     TVRBit = 0x0340
	PINTryLimitExceeded TVRBit = 0x0320
	PINPadNotWorking    TVRBit = 0x0310
	PINNotEntered       TVRBit = 0x0308
	OnlinePINEntered    TVRBit = 0x0304
	FloorLimitExceeded  TVRBit = 0x0480
	LowerLimitExceeded  TVRBit = 0x0440
	UpperLimitExceeded  TVRBit = 0x0420
	SelectedRandomly    TVRBit = 0x0410
	MerchantForced      TVRBit = 0x0408
	DefaultTDOLUsed     TVRBit = 0x0580
	IssuerAuthFailed    TVRBit = 0x0540
	ScriptFailedBefore  TVRBit = 0x0520
	ScriptFailedAfter   TVRBit = 0x0510
)

var tvrNames = map[TVRBit]string{
	ODANotPerformed:     "offline data authentication was not performed",
	SDAFailed:           "SDA failed",
	ICCDataMissing:      "ICC data missing",
	OnExceptionFile:     "card appears on terminal exception file",
	DDAFailed:           "DDA failed",
	CDAFailed:           "CDA failed",
	SDASelected:         "SDA selected",
	VersionsDiffer:      "ICC and terminal have different application versions",
	ApplicationExpired:  "expired application",
	NotYetEffective:     "application not yet effective",
	ServiceNotAllowed:   "requested service not allowed for card product",
	NewCard:             "new card",
	CVMFailed:           "cardholder verification was not successful",
	UnrecognisedCVM:     "unrecognised CVM",
	PINTryLimitExceeded: "PIN try limit exceeded",
	PINPadNotWorking:    "PIN entry required and PIN pad not present or not working",
	PINNotEntered:       "PIN entry required, PIN pad present, but PIN was not entered",
	OnlinePINEntered:    "online PIN entered",
	FloorLimitExceeded:  "transaction exceeds floor limit",
	LowerLimitExceeded:  "lower consecutive offline limit exceeded",
	UpperLimitExceeded:  "upper consecutive offline limit exceeded",
	SelectedRandomly:    "transaction selected randomly for online processing",
	MerchantForced:      "merchant forced transaction online",
	DefaultTDOLUsed:     "default TDOL used",
	IssuerAuthFailed:    "issuer authentication failed",
	ScriptFailedBefore:  "script processing failed before final GENERATE AC",
	ScriptFailedAfter:   "script processing failed after final GENERATE AC",
}

// Has reports whether a bit is set.
func (t TVR) Has(b TVRBit) bool { return has(t[:], bit(b)) }

// Set sets a bit.
func (t *TVR) Set(b TVRBit) { set(t[:], bit(b)) }

// Clear clears a bit.
func (t *TVR) Clear(b TVRBit) { unset(t[:], bit(b)) }

// Words lists the bits that are set.
func (t TVR) Words() []string { return words(t[:], tvrNames) }

// String is the TVR in hexadecimal with its bits in words.
func (t TVR) String() string { return inWords(t[:], t.Words()) }

// TSI is the Transaction Status Information, tag 9B. EMV 4.4 Book 3, Annex C6.
type TSI [2]byte

// A TSIBit is one bit of the TSI.
type TSIBit bit

// The bits of the TSI, EMV 4.4 Book 3, Annex C6, table 47 (EMV 4.3: table 43).
const (
	ODAPerformed        TSIBit = 0x0180
	CVPerformed         TSIBit = 0x0140
	CardRiskPerformed   TSIBit = 0x0120
	IssuerAuthPerformed TSIBit = 0x0110
	TermRiskPerformed   TSIBit = 0x0108
	ScriptPerformed     TSIBit = 0x0104
)

var tsiNames = map[TSIBit]string{
	ODAPerformed:        "offline data authentication was performed",
	CVPerformed:         "cardholder verification was performed",
	CardRiskPerformed:   "card risk management was performed",
	IssuerAuthPerformed: "issuer authentication was performed",
	TermRiskPerformed:   "terminal risk management was performed",
	ScriptPerformed:     "script processing was performed",
}

// Has reports whether a bit is set.
func (t TSI) Has(b TSIBit) bool { return has(t[:], bit(b)) }

// Set sets a bit.
func (t *TSI) Set(b TSIBit) { set(t[:], bit(b)) }

// Words lists the bits that are set.
func (t TSI) Words() []string { return words(t[:], tsiNames) }

// String is the TSI in hexadecimal with its bits in words.
func (t TSI) String() string { return inWords(t[:], t.Words()) }

// AIP is the Application Interchange Profile, tag 82. EMV 4.4 Book 3, Annex C1.
type AIP [2]byte

// An AIPBit is one bit of the AIP.
type AIPBit bit

// The bits of the AIP, EMV 4.4 Book 3, Annex C1, table 41 (EMV 4.3: table 37).
const (
	AIPSDA        AIPBit = 0x0140
	AIPDDA        AIPBit = 0x0120
	AIPCV         AIPBit = 0x0110
	AIPTermRisk   AIPBit = 0x0108
	AIPIssuerAuth AIPBit = 0x0104 // by EXTERNAL AUTHENTICATE
	AIPCDA        AIPBit = 0x0101
)

var aipNames = map[AIPBit]string{
	AIPSDA:        "SDA supported",
	AIPDDA:        "DDA supported",
	AIPCV:         "cardholder verification is supported",
	AIPTermRisk:   "terminal risk management is to be performed",
	AIPIssuerAuth: "issuer authentication is supported",
	AIPCDA:        "CDA supported",
}

// Has reports whether a bit is set.
func (a AIP) Has(b AIPBit) bool { return has(a[:], bit(b)) }

// Words lists the bits that are set.
func (a AIP) Words() []string { return words(a[:], aipNames) }

// String is the AIP in hexadecimal with its bits in words.
func (a AIP) String() string { return inWords(a[:], a.Words()) }

// AUC is the Application Usage Control, tag 9F07. EMV 4.4 Book 3, Annex C2.
type AUC [2]byte

// An AUCBit is one bit of the AUC.
type AUCBit bit

// The bits of the AUC, EMV 4.4 Book 3, Annex C2, table 42 (EMV 4.3: table 38).
const (
	AUCDomesticCash      AUCBit = 0x0180
	AUCInternationalCash AUCBit = 0x0140
	AUCDomesticGoods     AUCBit = 0x0120
	AUCInternationalGood AUCBit = 0x0110
	AUCDomesticServices  AUCBit = 0x0108
	AUCInternationalServ AUCBit = 0x0104
	AUCATM               AUCBit = 0x0102
	AUCNotATM            AUCBit = 0x0101
	AUCDomesticCashback  AUCBit = 0x0280
	AUCInternationalBack AUCBit = 0x0240
)

var aucNames = map[AUCBit]string{
	AUCDomesticCash:      "valid for domestic cash transactions",
	AUCInternationalCash: "valid for international cash transactions",
	AUCDomesticGoods:     "valid for domestic goods",
	AUCInternationalGood: "valid for international goods",
	AUCDomesticServices:  "valid for domestic services",
	AUCInternationalServ: "valid for international services",
	AUCATM:               "valid at ATMs",
	AUCNotATM:            "valid at terminals other than ATMs",
	AUCDomesticCashback:  "domestic cashback allowed",
	AUCInternationalBack: "international cashback allowed",
}

// Has reports whether a bit is set.
func (a AUC) Has(b AUCBit) bool { return has(a[:], bit(b)) }

// Words lists the bits that are set.
func (a AUC) Words() []string { return words(a[:], aucNames) }

// String is the AUC in hexadecimal with its bits in words.
func (a AUC) String() string { return inWords(a[:], a.Words()) }

// Capabilities is the Terminal Capabilities, tag 9F33. EMV 4.4 Book 4, Annex A2.
type Capabilities [3]byte

// A CapBit is one bit of the Terminal Capabilities.
type CapBit bit

// The bits of the Terminal Capabilities, EMV 4.4 Book 4, Annex A2, tables 25 to 27.
const (
	CapManualEntry   CapBit = 0x0180
	CapMagstripe     CapBit = 0x0140
	CapContacts      CapBit = 0x0120
	CapPlainPIN      CapBit = 0x0280
	CapOnlinePIN     CapBit = 0x0240
	CapSignature     CapBit = 0x0220
	CapEncipheredPIN CapBit = 0x0210
	CapNoCVM         CapBit = 0x0208
	CapSDA           CapBit = 0x0380
	CapDDA           CapBit = 0x0340
	CapCardCapture   CapBit = 0x0320
	CapCDA           CapBit = 0x0308
)

var capNames = map[CapBit]string{
	CapManualEntry:   "manual key entry",
	CapMagstripe:     "magnetic stripe",
	CapContacts:      "IC with contacts",
	CapPlainPIN:      "plaintext PIN for ICC verification",
	CapOnlinePIN:     "enciphered PIN for online verification",
	CapSignature:     "signature (paper)",
	CapEncipheredPIN: "enciphered PIN for offline verification",
	CapNoCVM:         "no CVM required",
	CapSDA:           "SDA",
	CapDDA:           "DDA",
	CapCardCapture:   "card capture",
	CapCDA:           "CDA",
}

// Has reports whether a bit is set.
func (c Capabilities) Has(b CapBit) bool { return has(c[:], bit(b)) }

// Words lists the bits that are set.
func (c Capabilities) Words() []string { return words(c[:], capNames) }

// String is the field in hexadecimal with its bits in words.
func (c Capabilities) String() string { return inWords(c[:], c.Words()) }

// MarshalText is the field in hexadecimal.
func (c Capabilities) MarshalText() ([]byte, error) { return appendHex(nil, c[:]), nil }

// UnmarshalText reads six hexadecimal digits.
func (c *Capabilities) UnmarshalText(b []byte) error {
	return fixedHex("terminal capabilities", c[:], b)
}
