package acquirer

// Annotate is annotate with every byte shown, for reference messages.
func Annotate(m *Message) string { return m.annotate(true) }

// CutKeys tells how many working keys a field 62 holds.
func CutKeys(b []byte) (int, error) {
	slots, err := cutKeys(b)
	return len(slots), err
}
