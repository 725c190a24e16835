package contact

import "testing"

func FuzzFCI(f *testing.F) {
	f.Add(unhex(f, "6F 19 84 07 A0000003330101 A5 0E 50 05 4445424954 87 01 01 9F11 01 01"))
	f.Add(unhex(f, "6F 19 84 07"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if v, err := parseFCI(in); err == nil && !v.name.Valid() {
			t.Fatalf("DF name of %d bytes", len(v.name))
		}
		_, _ = directorySFI(in)
	})
}

func FuzzAFL(f *testing.F) {
	f.Add(unhex(f, "08 01 01 00 10 01 05 01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := parseAFL(in)
		records := 0
		for _, e := range list {
			if e.sfi == 0 || e.sfi > maxSFI || e.first == 0 || e.last < e.first {
				t.Fatalf("%+v", e)
			}
			records += int(e.last-e.first) + 1
		}
		if err == nil && (records == 0 || records > maxRecords) {
			t.Fatalf("%d records", records)
		}
	})
}

func FuzzCVMList(f *testing.F) {
	f.Add(unhex(f, "0000000000000000 4203 1E03 1F03"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if l, err := parseCVMList(in); err == nil && len(l.rules)*2+8 != len(in) {
			t.Fatalf("%d rules of %d bytes", len(l.rules), len(in))
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add(unhex(f, "77 14 9F27 01 80 9F36 02 0001 9F26 08 1122334455667788"))
	f.Add(unhex(f, "80 06 7C00 08010100"))
	f.Add(unhex(f, "71 0F 9F18 04 01020304 86 06 84160000 01AA"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := parseAC(in); err == nil && len(r.iad) > 32 {
			t.Fatalf("application data of %d bytes", len(r.iad))
		}
		if aip, afl, err := parseOptions(in); err == nil && (len(aip) != 2 || len(afl) == 0) {
			t.Fatalf("%x %x", aip, afl)
		}
		if list, _ := parseScripts(in); len(list) > maxScripts {
			t.Fatalf("%d scripts", len(list))
		}
		s := session(t, nil)
		_ = s.enterRecord(1, in, true)
		_, _ = s.directoryRecord(nil, in)
	})
}
