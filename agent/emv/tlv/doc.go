// Package tlv reads and writes the BER-TLV data objects and data object lists of EMV.
//
// It is a leaf: standard library only. It knows the encoding (EMV 4.4 Book 3, Annex B) and the dictionary of data
// objects (Annex A), and nothing of any application. It does not know which object is a secret; the packages above do.
//
// Everything is zero-copy. The values handed out alias the input, and no function allocates except ParseDOL, which
// returns a slice, and the text helpers.
//
//	err := tlv.Walk(record, func(depth int, o tlv.Object) error {
//		fmt.Println(depth, o.Tag, o.Tag.Name(), len(o.Value))
//		return nil
//	})
//	pan, ok := tlv.Find(record, 0x5A)
//	data, err := tlv.FillDOL(nil, cdol1, store.Value)
//
// # Limits
//
// A card writes what is parsed here, so every dimension is bounded: tags have at most four bytes, lengths at most three
// length bytes after the first, templates nest at most MaxDepth deep and the input is at most MaxTotal bytes. The
// indefinite form is refused. '00' bytes between objects are skipped (Book 3, Annex B1); a constructed object must
// consist of whole objects.
//
// # Decisions
//
//   - Lengths in more bytes than needed ('81 05') are accepted: ISO 8825-1 allows them and cards in the field send them.
//   - Tags 9F00 to 9F1E are accepted although BER would write them in one byte: EMV defines them so.
//   - A Tag is the number its bytes spell (0x9F26): it can be a constant, a map key and a switch case.
package tlv
