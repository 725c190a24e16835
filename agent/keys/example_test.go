package keys_test

import (
	"bytes"
	"context"
	"fmt"

	"posagent/agent/keys"
)

// A sign-in hands the MAC key over; then both ends agree on a message.
func Example() {
	ctx := context.Background()
	tmk := []byte("made for testing")
	pad, err := keys.NewSoftware(tmk)
	if err != nil {
		fmt.Println(err)
		return
	}
	host, err := keys.NewHost(tmk, bytes.NewReader([]byte("a key for the example, not more.")))
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := host.Fresh(keys.UseMAC, 16)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pad.InstallWorking(ctx, keys.UseMAC, w.Cryptogram, w.KCV[:]))
	mac, err := pad.MAC(ctx, keys.MACCUPECB, []byte("message"))
	fmt.Println(len(mac), err, host.VerifyMAC(keys.MACCUPECB, []byte("message"), mac[:]))
	// Output:
	// <nil>
	// 8 <nil> <nil>
}
