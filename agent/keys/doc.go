// Package keys is the key management of the host profile: working keys under a
// terminal master key (TMK), key check values, PIN blocks and MACs.
//
// It is the arithmetic and the rules, twice: Software is the secure module of
// the simulated PIN pad, Host is the acquirer's side of the same keys for the
// host simulator. In a real terminal the secure PIN pad holds the keys and does
// the arithmetic; the terminal's software then only ever sees a Store.
//
// It is not a hardware security module. A PIN that passes through Software has
// been in ordinary memory: that is for simulators and tests, and PIN entry in
// software is not PCI PTS. DUKPT, TR-31, ISO 9564 formats 3 and 4, CMAC and SM4
// are not spoken here.
//
//	pad, err := keys.NewSoftware(tmk)                       // the PIN pad's inside
//	host, err := keys.NewHost(tmk, rand.Reader)             // the acquirer's inside
//	w, err := host.Fresh(keys.UseMAC, 8)                    // sign-in answer, field 62
//	err = pad.InstallWorking(ctx, keys.UseMAC, w.Cryptogram, w.KCV[:])
//	mac, err := pad.MAC(ctx, keys.MACCUPECB, message)       // field 64
//	err = host.VerifyMAC(keys.MACCUPECB, message, mac[:])
//
// # Sources
//
// ISO 9564-1 (PIN block format 0), ISO/IEC 9797-1 algorithm 3 with padding
// methods 1 and 2 (ANSI X9.19 is algorithm 3 with method 1), the POS profile of
// UnionPay for the CUP-ECB MAC, the key check value and the cryptograms of the
// sign-in answer.
//
// # What survives a power cut
//
// Nothing. Software and Host live in memory; after a restart the terminal signs
// in again and is given new working keys.
//
// # Goroutines
//
// None is started. Software and Host may be used from several at once.
//
// # Decisions
//
// No method returns a key, and Key prints only its check value, also when it
// sits inside another struct that is printed: the bytes lie behind two pointers,
// of which fmt shows an address. Cryptograms leave a Host because they are made
// to be sent.
//
// One slot per use, and an operation reads only the slot of its use: a PIN key
// can never make a MAC. Because the profile's cryptograms do not say what they
// are for, a key that already serves another use is refused (ErrUse); binding
// the use into the cryptogram itself needs key blocks (TR-31).
//
// The TMK has 16 or 24 bytes; working keys have 8, 16 or 24. Single DES is
// accepted for working keys alone, because the profile's single-length sign-in
// still exists.
//
// A key check value is compared in constant time over the bytes given, three to
// eight of them: the profile sends four, many key ceremonies write down three.
//
// Zeroise clears what this package owns. The Go runtime may have copied a stack
// and crypto/des keeps its own key schedule until it is collected: memory is
// exposed less, which is all that can be promised.
package keys
