package emv

import "posagent/agent/emv/tlv"

// OnlineTags are the data objects of DE 55 in an online request, in the order of the UnionPay POS profile (F55 of 0200).
// 9F63 is sent when the card has it.
var OnlineTags = []tlv.Tag{
	0x9F26, 0x9F27, 0x9F10, 0x9F37, 0x9F36, 0x95, 0x9A, 0x9C, 0x9F02, 0x5F2A, 0x82, 0x9F1A, 0x9F03, 0x9F33, 0x9F34, 0x9F35,
	0x9F1E, 0x84, 0x9F09, 0x9F41, 0x9F63,
}

// CompletionTags are those of an advice or an upload after the final cryptogram: the same with the response code, the
// issuer authentication data and the script results.
var CompletionTags = append(OnlineTags[:len(OnlineTags):len(OnlineTags)], 0x8A, 0x91, 0xDF31)

// MaxDE55 is the longest DE 55 in bytes (ISO 8583:1987 profile, b..255).
const MaxDE55 = 255

// DE55 assembles the data objects that the store has, in order. An object that would exceed MaxDE55 is left out, and so
// is a secret one, whatever the list says.
func DE55(s *Store, tags []tlv.Tag) []byte {
	out := make([]byte, 0, MaxDE55)
	for _, t := range tags {
		if Secret(t) {
			continue
		}
		if next := s.Append(out, t); len(next) <= MaxDE55 {
			out = next
		}
	}
	return out
}
