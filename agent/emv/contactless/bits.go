package contactless

import "posagent/agent/emv"

// TTQ is the Terminal Transaction Qualifiers, tag 9F66. EMV Contactless Book A, 5.7, table 5-4.
type TTQ [4]byte

// A TTQBit is one bit: byte number from 1 in the high byte, mask in the low.
type TTQBit uint16

// Bits of the TTQ.
const (
	TTQMagstripe      TTQBit = 0x0180
	TTQEMVMode        TTQBit = 0x0120
	TTQContact        TTQBit = 0x0110
	TTQOfflineOnly    TTQBit = 0x0108
	TTQOnlinePIN      TTQBit = 0x0104
	TTQSignature      TTQBit = 0x0102
	TTQOnlineODA      TTQBit = 0x0101
	TTQOnlineRequired TTQBit = 0x0280 // of this transaction
	TTQCVMRequired    TTQBit = 0x0240 // of this transaction
	TTQIssuerUpdate   TTQBit = 0x0380
	TTQConsumerDevice TTQBit = 0x0340
)

// Has reports whether a bit is set.
func (t TTQ) Has(b TTQBit) bool { return t[b>>8-1]&byte(b) != 0 }

func (t *TTQ) set(b TTQBit)   { t[b>>8-1] |= byte(b) }
func (t *TTQ) clear(b TTQBit) { t[b>>8-1] &^= byte(b) }

// String is the field in hexadecimal.
func (t TTQ) String() string { return emv.HexBytes(t[:]).String() }

// MarshalText is String.
func (t TTQ) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads eight hexadecimal digits.
func (t *TTQ) UnmarshalText(text []byte) error {
	var h emv.HexBytes
	if err := h.UnmarshalText(text); err != nil {
		return err
	}
	if len(h) != len(t) {
		return emv.ErrHex
	}
	copy(t[:], h)
	return nil
}

// CTQ is the Card Transaction Qualifiers, tag 9F6C. EMV Contactless Book C-3, Annex A.
type CTQ [2]byte

// A CTQBit is one bit, as TTQBit.
type CTQBit uint16

// Bits of the CTQ.
const (
	CTQOnlinePIN       CTQBit = 0x0180
	CTQSignature       CTQBit = 0x0140
	CTQODAFailOnline   CTQBit = 0x0120
	CTQODAFailSwitch   CTQBit = 0x0110
	CTQExpiredOnline   CTQBit = 0x0108
	CTQCashSwitch      CTQBit = 0x0104
	CTQCashbackSwitch  CTQBit = 0x0102
	CTQConsumerDevice  CTQBit = 0x0280 // consumer device CVM performed
	CTQIssuerUpdatePOS CTQBit = 0x0240
)

// Has reports whether a bit is set.
func (c CTQ) Has(b CTQBit) bool { return c[b>>8-1]&byte(b) != 0 }

// TVR and AIP bits that only kernel 2 has. EMV Contactless Book C-2, A.1.164 and A.1.16.
const (
	tvrRelayThreshold emv.TVRBit = 0x0508
	tvrRelayLimits    emv.TVRBit = 0x0504
	tvrRelayPerformed emv.TVRBit = 0x0502
	tvrRelaySkipped   emv.TVRBit = 0x0501
	aipOnDevice       emv.AIPBit = 0x0102
	aipEMVMode        emv.AIPBit = 0x0280
	aipRelay          emv.AIPBit = 0x0201
)
