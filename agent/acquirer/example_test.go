package acquirer_test

import (
	"fmt"

	"posagent/agent/acquirer"
)

// A message is packed by its profile and described without its secrets.
func ExampleDescribe() {
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		fmt.Println(err)
		return
	}
	m := profile.New("0200")
	for id, value := range map[uint8]string{2: "6226097318460046", 4: "000000001234", 14: "2512", 22: "051"} {
		if err := m.Set(id, value); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Print(acquirer.Describe(m))
	// Output:
	// # unionpay-pos 0200, 4 fields, 29 bytes
	// 0000 MTI 02 00 ; message type 0200
	// 0002 MAP 50 04 04 00 00 00 00 00 ; bitmap 2 4 14 22
	// 000A F02 [9 bytes] ; primary account number 622609******0046
	// 0013 F04 00 00 00 00 12 34 ; amount 000000001234
	// 0019 F14 [2 bytes] ; expiry (hidden)
	// 001B F22 05 10 ; entry mode 051
}

// A message that is wrong is refused with the place, never with the data.
func ExampleProfile_Unpack() {
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = profile.Unpack([]byte("\x02\x10\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1F\x00"))
	fmt.Println(err)
	// Output: field 4 at byte 14: holds a nibble that is not a digit
}
