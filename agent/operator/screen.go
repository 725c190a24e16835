package operator

// Lang is a language of the catalogue.
type Lang string

// The languages every text exists in.
const (
	Chinese Lang = "zh"
	English Lang = "en"
)

// Other is the other language.
func (l Lang) Other() Lang {
	if l == Chinese {
		return English
	}
	return Chinese
}

// Tone is the mood of a screen: it decides colour and sound.
type Tone string

// Tones.
const (
	Calm Tone = "calm" // waiting for a person
	Busy Tone = "busy" // waiting for a machine
	Good Tone = "good" // money moved, or the thing worked
	Bad  Tone = "bad"  // refused or failed
)

// Status is the line at the top of every screen.
type Status struct {
	Terminal string // terminal id, or the serial before activation
	State    string // life-cycle state in words
	Batch    string
	Network  bool // the fleet is reachable
	Host     bool // signed on to the acquirer
	Paper    bool // the printer is ready
	Open     int  // reversals not yet accepted by the host
}

// Choice is one line a key selects.
type Choice struct {
	Key  Key
	Text string
}

// Screen is everything the display shows, as a value. It never holds a PIN, and
// a card number only in its masked form.
type Screen struct {
	Name    string // stable: "idle", "amount", "insert_card", "pin", "host", "approved", ...
	Lang    Lang
	Tone    Tone
	Title   string
	Amount  string // formatted, or ""
	Lines   []string
	Choices []Choice
	Dots    int    // PIN characters entered; -1 means the screen asks for no PIN
	Hint    string // what to do next
	Status  Status
}
