package raster

import (
	"strings"
	"unicode/utf8"
)

// columnsOf is the width of a string on the grid, for letters of normal width.
func columnsOf(s string) int {
	n := 0
	for _, r := range s {
		g, _ := Lookup(r)
		n += g.Columns
	}
	return n
}

// noStart are the characters that do not begin a line.
const noStart = "，。、：；！？）】》〉」』”’…—％℃,.:;!?)]}%"

// lines splits text at its line feeds and wraps every part into at most columns
// columns of letters that are scale times wide. The results are parts of text;
// only the space at a break is lost. There is always at least one line.
func lines(text string, columns, scale int) []string {
	columns = max(columns/scale, 2)
	var out []string
	for part := range strings.SplitSeq(text, "\n") {
		part = strings.TrimSuffix(part, "\r")
		for {
			end, next := cutLine(part, columns)
			out = append(out, part[:end])
			if next == len(part) {
				break
			}
			part = part[next:]
		}
	}
	return out
}

// cutLine finds how much of s fits into columns columns: s[:end] is the line and
// s[next:] the rest. It always takes at least one character of a non-empty s.
func cutLine(s string, columns int) (end, next int) {
	used := 0
	spaceEnd, spaceNext := -1, -1 // the last space: the line before it, the rest after it
	breakAt := -1                 // the last place between two characters where a line may end
	prev := rune(-1)
	for i, r := range s {
		g, _ := Lookup(r)
		if r == ' ' {
			if used+g.Columns > columns {
				return trimmed(s, i)
			}
			if i > 0 && prev != ' ' {
				spaceEnd = i
			}
			spaceNext = i + 1
		} else if i > 0 && mayBreak(prev, r) {
			breakAt = i
		}
		if used+g.Columns > columns {
			switch {
			case spaceEnd > breakAt && spaceEnd > 0:
				return spaceEnd, spaceNext
			case breakAt > 0:
				return breakAt, breakAt
			case i == 0:
				_, n := utf8.DecodeRuneInString(s)
				return n, n
			}
			return i, i
		}
		used += g.Columns
		prev = r
	}
	return len(s), len(s)
}

// trimmed ends a line before the run of spaces at i.
func trimmed(s string, i int) (end, next int) {
	rest := strings.TrimLeft(s[i:], " ")
	return len(strings.TrimRight(s[:i], " ")), len(s) - len(rest)
}

// mayBreak reports whether a line may end between two characters: where one of
// them is wide, unless the second is a closing mark.
func mayBreak(prev, r rune) bool {
	if prev == ' ' || strings.ContainsRune(noStart, r) {
		return false
	}
	return wide(prev) || wide(r)
}

// longestWord is the width in columns of the longest part of s that cutLine
// would keep in one piece.
func longestWord(s string) int {
	longest, word := 0, 0
	prev := rune(' ')
	for _, r := range s {
		g, _ := Lookup(r)
		switch {
		case r == ' ' || r == '\n':
			word = 0
		case mayBreak(prev, r):
			word = g.Columns
		default:
			word += g.Columns
		}
		longest = max(longest, word)
		prev = r
	}
	return longest
}
