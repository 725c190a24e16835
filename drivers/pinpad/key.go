package pinpad

import "strconv"

// Key is one key of the keyboard, as its code on the wire. Digits are their
// ASCII characters.
type Key uint8

const (
	Key0 Key = '0' + iota
	Key1
	Key2
	Key3
	Key4
	Key5
	Key6
	Key7
	Key8
	Key9
)

const (
	Clear  Key = 0x08
	Enter  Key = 0x0D
	Up     Key = 0x11
	Down   Key = 0x12
	Cancel Key = 0x1B
	F1     Key = 0xF1
	F2     Key = 0xF2
	F3     Key = 0xF3
	F4     Key = 0xF4
)

// Digit gives the value of a digit key; ok is false for any other.
func (k Key) Digit() (value uint8, ok bool) {
	if k < Key0 || k > Key9 {
		return 0, false
	}
	return uint8(k - Key0), true
}

// Valid reports whether there is such a key.
func (k Key) Valid() bool {
	_, digit := k.Digit()
	_, named := keyNames[k]
	return digit || named
}

var keyNames = map[Key]string{
	Clear: "clear", Enter: "enter", Up: "up", Down: "down", Cancel: "cancel",
	F1: "f1", F2: "f2", F3: "f3", F4: "f4",
}

// String is the digit or the name in lower case.
func (k Key) String() string {
	if v, ok := k.Digit(); ok {
		return strconv.Itoa(int(v))
	}
	if name, ok := keyNames[k]; ok {
		return name
	}
	return "key " + strconv.Itoa(int(k))
}

// ParseKey is the reverse of String.
func ParseKey(name string) (Key, bool) {
	if len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
		return Key(name[0]), true
	}
	for k, n := range keyNames {
		if n == name {
			return k, true
		}
	}
	return 0, false
}
