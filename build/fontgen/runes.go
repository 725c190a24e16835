package main

import (
	"slices"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// blocks are the ranges taken whole, as far as the font has them: names of people
// and shops use characters that no national subset holds.
var blocks = [][2]rune{
	{0x0020, 0x007E}, // ASCII
	{0x00A0, 0x024F}, // Latin with marks
	{0x2000, 0x206F}, // punctuation
	{0x20A0, 0x20BF}, // currency
	{0x3400, 0x4DBF}, // CJK extension A
	{0x4E00, 0x9FFF}, // CJK
}

// runes lists, in order and once each, the blocks above and every character of
// GBK, which adds kana, Greek, Cyrillic, box drawing and symbols.
func runes() []rune {
	var all []rune
	for _, b := range blocks {
		for r := b[0]; r <= b[1]; r++ {
			all = append(all, r)
		}
	}
	decoder := simplifiedchinese.GBK.NewDecoder()
	for lead := 0x81; lead <= 0xFE; lead++ {
		for trail := 0x40; trail <= 0xFE; trail++ {
			out, err := decoder.Bytes([]byte{byte(lead), byte(trail)})
			if err != nil {
				continue
			}
			if r, n := utf8.DecodeRune(out); n == len(out) && r != utf8.RuneError {
				all = append(all, r)
			}
		}
	}
	all = slices.DeleteFunc(all, func(r rune) bool {
		return unicode.Is(unicode.Co, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r) || unicode.IsControl(r) ||
			r == '\u2028' || r == '\u2029'
	})
	slices.Sort(all)
	return slices.Compact(all)
}
