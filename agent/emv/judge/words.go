package judge

import (
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// sections says where the standard has each step of the kernels. EMV 4.4 unless another book is named.
var sections = map[string]string{
	"application selection":                      "Book 1, 12; Book 3, 10.1",
	"read application data":                      "Book 3, 10.2",
	"offline data authentication":                "Book 3, 10.3; Book 2, 5 and 6",
	"processing restrictions":                    "Book 3, 10.4",
	"cardholder verification":                    "Book 3, 10.5",
	"terminal risk management":                   "Book 3, 10.6",
	"terminal action analysis":                   "Book 3, 10.7",
	"first GENERATE AC":                          "Book 3, 10.8 and 6.5.5",
	"issuer authentication":                      "Book 3, 10.9",
	"issuer scripts before the final cryptogram": "Book 3, 10.10",
	"completion":                                 "Book 3, 10.11 and 6.5.5",
	"completion, unable to go online":            "Book 3, 10.11; Book 4, 6.3.8",
	"card read":                                  "Book B, 3.5 (contactless)",
}

var reasonWords = map[emv.Reason]string{
	emv.ReasonNone:             "",
	emv.ReasonCardApproved:     "the card gave a TC",
	emv.ReasonCardDeclined:     "the card gave an AAC although more was asked for",
	emv.ReasonTerminalDeclined: "action codes told the terminal to ask for an AAC",
	emv.ReasonHostDeclined:     "the host did not approve",
	emv.ReasonReferral:         "the host wants to be called",
	emv.ReasonAppBlocked:       "the application is blocked",
	emv.ReasonUnableOnline:     "the host was not reached",
	emv.ReasonNoApplication:    "card and terminal have no application in common",
	emv.ReasonCardBlocked:      "the card is blocked",
	emv.ReasonServiceRefused:   "the card does not allow this service",
	emv.ReasonCardMute:         "the card did not answer",
	emv.ReasonCardData:         "data of the card is missing, redundant or malformed",
	emv.ReasonCardStatus:       "a status word ended the transaction",
	emv.ReasonCardTooMuch:      "more commands, bytes or time than any card needs",
	emv.ReasonCryptogram:       "a cryptogram of a type the card must not give",
	emv.ReasonCDAFailed:        "the signature over the cryptogram is wrong",
	emv.ReasonCancelled:        "cancelled by the cardholder or from outside",
	emv.ReasonTimeout:          "the cardholder did nothing, or the deadline passed",
	emv.ReasonDialogue:         "asking the cardholder failed",
	emv.ReasonRandom:           "the random source failed",
	emv.ReasonWrongState:       "nothing was waiting to be completed",
}

var kindWords = map[emv.Kind]string{
	emv.Approve:     "approved",
	emv.Decline:     "declined",
	emv.Online:      "the host must decide",
	emv.NotAccepted: "card not accepted",
	emv.TryAgain:    "try again",
	emv.Terminated:  "terminated",
}

// meaning is an outcome in words.
func meaning(k emv.Kind, r emv.Reason) string {
	text, ok := kindWords[k]
	if !ok {
		text = string(k)
	}
	why, ok := reasonWords[r]
	if !ok {
		why = string(r)
	}
	if why == "" {
		return text
	}
	return text + ": " + why
}

// cvmConditions are the condition codes of a CV rule. EMV 4.4 Book 3, Annex C3, table 44.
var cvmConditions = map[byte]string{
	0x00: "always",
	0x01: "if unattended cash",
	0x02: "if not unattended cash, not manual cash and not purchase with cashback",
	0x03: "if the terminal supports the CVM",
	0x04: "if manual cash",
	0x05: "if purchase with cashback",
	0x06: "if in the application's currency and under X",
	0x07: "if in the application's currency and over X",
	0x08: "if in the application's currency and under Y",
	0x09: "if in the application's currency and over Y",
}

func cvmCondition(b byte) string {
	if w, ok := cvmConditions[b]; ok {
		return w
	}
	return fmt.Sprintf("condition %02X", b)
}

var statusWords = map[emv.SW]string{
	emv.SWOK:            "OK",
	0x6200:              "warning: nothing said",
	0x6281:              "part of the data may be corrupted",
	emv.SWInvalidated:   "selected file is invalidated",
	emv.SWAuthFailed:    "authentication failed",
	0x6400:              "execution error",
	0x6581:              "memory failure",
	emv.SWWrongLength:   "wrong length",
	0x6882:              "secure messaging not supported",
	0x6981:              "command incompatible with file structure",
	emv.SWSecurityState: "security status not satisfied",
	emv.SWAuthBlocked:   "authentication method blocked",
	0x6984:              "referenced data invalidated",
	emv.SWConditions:    "conditions of use not satisfied",
	0x6986:              "command not allowed",
	0x6987:              "secure messaging data object missing",
	0x6988:              "secure messaging data object incorrect",
	0x6A80:              "incorrect data",
	emv.SWNotSupported:  "function not supported",
	emv.SWNotFound:      "file or application not found",
	emv.SWNoRecord:      "record not found",
	emv.SWWrongP1P2:     "incorrect P1 P2",
	emv.SWNoData:        "referenced data not found",
	0x6B00:              "wrong P1 P2",
	emv.SWWrongINS:      "instruction not supported",
	emv.SWWrongCLA:      "class not supported",
	0x6F00:              "no precise diagnosis",
}

// statusMeaning is a status word in words. ISO/IEC 7816-4, 5.6; EMV 4.4 Book 3, 6.3.5.
func statusMeaning(sw emv.SW) string {
	if w, ok := statusWords[sw]; ok {
		return w
	}
	switch {
	case sw&0xFFF0 == 0x63C0:
		return fmt.Sprintf("wrong, %d tries left", byte(sw)&0x0F)
	case sw>>8 == 0x61:
		return fmt.Sprintf("%d bytes more", byte(sw))
	case sw>>8 == 0x6C:
		return fmt.Sprintf("wrong Le, %d is right", byte(sw))
	case sw.Warning():
		return "warning"
	}
	return "error"
}

// commandName is a command with what its parameters mean. EMV 4.4 Book 1, 11; Book 3, 6.5; contactless Book C.
func commandName(capdu []byte) string {
	c, err := emv.ParseCommand(capdu)
	if err != nil {
		return "not a command"
	}
	switch uint16(c.CLA)<<8 | uint16(c.INS) {
	case 0x00A4:
		name := "SELECT"
		if c.P2&0x03 == 0x02 {
			name = "SELECT NEXT"
		}
		if s := string(c.Data); s == "1PAY.SYS.DDF01" || s == "2PAY.SYS.DDF01" {
			return name + " " + s
		}
		return name + " " + hexText(c.Data)
	case 0x00B2:
		return fmt.Sprintf("READ RECORD %d of SFI %d", c.P1, c.P2>>3)
	case 0x80A8:
		return "GET PROCESSING OPTIONS"
	case 0x80CA:
		tag := tlv.Tag(c.P1)<<8 | tlv.Tag(c.P2)
		return fmt.Sprintf("GET DATA %v %s", tag, tag.Name())
	case 0x0088:
		return "INTERNAL AUTHENTICATE"
	case 0x0082:
		return "EXTERNAL AUTHENTICATE"
	case 0x0084:
		return "GET CHALLENGE"
	case 0x0020:
		if c.P2 == emv.VerifyEnciphered {
			return "VERIFY enciphered PIN"
		}
		return "VERIFY plaintext PIN"
	case 0x80AE:
		name := "GENERATE AC, " + emv.CryptogramType(c.P1&0xC0).String() + " asked for"
		if c.P1&0x10 != 0 {
			name += " with CDA"
		}
		return name
	case 0x80EA:
		return "EXCHANGE RELAY RESISTANCE DATA"
	case 0x802A:
		return "COMPUTE CRYPTOGRAPHIC CHECKSUM"
	case 0x80D0:
		return "RECOVER AC"
	case 0x00C0:
		return "GET RESPONSE"
	}
	switch c.INS {
	case 0x16:
		return "CARD BLOCK"
	case 0x18:
		return "APPLICATION UNBLOCK"
	case 0x1E:
		return "APPLICATION BLOCK"
	case emv.InsPINChange:
		return "PIN CHANGE/UNBLOCK"
	case 0xDA:
		return "PUT DATA"
	case 0xDC:
		return "UPDATE RECORD"
	}
	return fmt.Sprintf("command %02X %02X", c.CLA, c.INS)
}
