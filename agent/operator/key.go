package operator

// Key is one key of the terminal, by its name.
type Key string

// The keys of a payment terminal.
const (
	Key0      Key = "0"
	Key1      Key = "1"
	Key2      Key = "2"
	Key3      Key = "3"
	Key4      Key = "4"
	Key5      Key = "5"
	Key6      Key = "6"
	Key7      Key = "7"
	Key8      Key = "8"
	Key9      Key = "9"
	KeyEnter  Key = "enter"
	KeyCancel Key = "cancel"
	KeyClear  Key = "clear"
	KeyUp     Key = "up"
	KeyDown   Key = "down"
	KeyFunc   Key = "func"
)

// Digit gives the digit of a number key.
func (k Key) Digit() (byte, bool) {
	if len(k) == 1 && k[0] >= '0' && k[0] <= '9' {
		return k[0], true
	}
	return 0, false
}
