package contactless

import (
	"bytes"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

const (
	ppseName      = "2PAY.SYS.DDF01"
	maxCandidates = 32
	maxEntries    = 32 // of a directory: 256 bytes hold fewer
	maxExtended   = 5  // 9F29, Book B, table 3-2
)

// A dirEntry is one application of the directory. Values alias the response. EMV Contactless Book B, 3.3.1, table 3-2.
type dirEntry struct {
	name     []byte // 4F
	label    []byte // 50
	priority uint8  // 87, low nibble; 0 is the lowest and is 16 here
	kernel   []byte // 9F2A
	extended []byte // 9F29
}

// parsePPSE reads the answer to SELECT PPSE: 6F { 84, A5 { BF0C { 61* } } }. Entries that have no application name of
// a right length are left out, as the book says; a structure that is not a directory is an error.
func parsePPSE(b []byte, list []dirEntry) ([]dirEntry, error) {
	body, err := tlv.Template(b, 0x6F)
	if err != nil {
		return nil, fmt.Errorf("read PPSE: %w", err)
	}
	inA5, inBF0C, named := false, false, false
	err = tlv.Walk(body, func(depth int, o tlv.Object) error {
		if depth < 1 {
			inA5 = o.Tag == 0xA5
		}
		if depth < 2 {
			inBF0C = inA5 && depth == 1 && o.Tag == 0xBF0C
		}
		switch {
		case depth == 0 && o.Tag == 0x84:
			named = string(o.Value) == ppseName
		case depth == 2 && inBF0C && o.Tag == 0x61 && len(list) < maxEntries:
			if e, ok := parseEntry(o.Value); ok {
				list = append(list, e)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("read PPSE: %w", err)
	case !named:
		return nil, fmt.Errorf("read PPSE: another DF name")
	}
	return list, nil
}

func parseEntry(b []byte) (e dirEntry, ok bool) {
	e.priority = 16
	for len(b) > 0 { // ends: Next consumes
		o, rest, err := tlv.Next(b)
		if err != nil || o.Tag == 0 {
			break
		}
		b = rest
		switch o.Tag {
		case 0x4F:
			e.name = o.Value
		case 0x50:
			e.label = o.Value
		case 0x87:
			if len(o.Value) == 1 && o.Value[0]&0x0F != 0 {
				e.priority = o.Value[0] & 0x0F
			}
		case 0x9F2A:
			e.kernel = o.Value
		case 0x9F29:
			if len(o.Value) <= maxExtended {
				e.extended = o.Value
			}
		}
	}
	return e, emv.AID(e.name).Valid()
}

// defaultKernels are the kernels of RIDs without a kernel identifier in the directory. EMV Contactless Book B, 3.3.2.5,
// table 3-6.
var defaultKernels = []struct {
	rid    emv.RID
	kernel KernelID
}{
	{emv.RID{0xA0, 0, 0, 0, 0x04}, 2},
	{emv.RID{0xA0, 0, 0, 0, 0x03}, 3},
	{emv.RID{0xA0, 0, 0, 0, 0x25}, 4},
	{emv.RID{0xA0, 0, 0, 0, 0x65}, 5},
	{emv.RID{0xA0, 0, 0, 0x01, 0x52}, 6},
	{emv.RID{0xA0, 0, 0, 0x03, 0x24}, 6},
	{emv.RID{0xA0, 0, 0, 0x03, 0x33}, 7},
}

// requestedKernel is the kernel an entry asks for; 0 is any. A domestic identifier, and a form reserved for the future,
// is not for this terminal. EMV Contactless Book B, 3.3.2.5, table 3-4.
func (e dirEntry) requestedKernel() (id KernelID, ok bool) {
	if len(e.kernel) == 0 {
		rid := emv.AID(e.name).RID()
		for _, d := range defaultKernels {
			if d.rid == rid {
				return d.kernel, true
			}
		}
		return 0, true
	}
	if e.kernel[0]>>6 != 0 {
		return 0, false
	}
	return KernelID(e.kernel[0] & 0x3F), true
}

// matches reports whether the card's application name is the combination's: equal, or longer when the terminal selects
// by partial name. EMV Contactless Book B, 3.3.2.4.
func (c *Combination) matches(name []byte) bool {
	aid := c.Application.AID
	if c.Application.Partial {
		return bytes.HasPrefix(name, aid)
	}
	return bytes.Equal(name, aid)
}

// A candidate is a combination of card and terminal. It holds its own copy of what the directory said.
type candidate struct {
	combination uint8 // index into the terminal's list
	priority    uint8
	nameLen     uint8
	aidLen      uint8 // of name: what follows is the extended selection
	name        [emv.MaxAID + maxExtended]byte
}

// candidates makes the list of combinations in common, highest priority first; equals keep the directory's order. EMV
// Contactless Book B, 3.3.2 and 3.3.3.1.
func (r *Reader) candidates(entries []dirEntry) {
	r.count = 0
	for i := range entries {
		e := &entries[i]
		kernel, ok := e.requestedKernel()
		if !ok {
			continue
		}
		for j := range r.config.Combinations {
			c := &r.config.Combinations[j]
			if r.indicators[j].notAllowed || !c.matches(e.name) || kernel != 0 && kernel != c.Kernel {
				continue
			}
			if r.count < maxCandidates {
				r.insert(uint8(j), e, c.ExtendedSelection)
			}
			break // one combination for an application: the terminal's first
		}
	}
}

// insert keeps the list sorted.
func (r *Reader) insert(combination uint8, e *dirEntry, extend bool) {
	c := candidate{combination: combination, priority: e.priority, aidLen: uint8(len(e.name))}
	n := copy(c.name[:], e.name)
	if extend && n+len(e.extended) <= emv.MaxAID {
		n += copy(c.name[n:], e.extended)
	}
	c.nameLen = uint8(n)
	at := r.count
	for at > 0 && r.list[at-1].priority > c.priority {
		r.list[at] = r.list[at-1]
		at--
	}
	r.list[at] = c
	r.count++
}
