package emv_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestCoverageTable: every test that the package comment names exists, with its row.
func TestCoverageTable(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"emv": ".", "tlv": "tlv", "oda": "oda", "contact": "contact", "cardsim": "cardsim", "contactless": "contactless"}
	text := map[string]string{}
	for name, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			text[name] += string(b)
		}
	}
	rows := regexp.MustCompile(`(?m)^//\t(.+?)  +(.+?)  +(emv|tlv|oda|contactless|contact|cardsim)\.(Test\w+)(?:/(.+))?$`).FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 85 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	section := regexp.MustCompile(`^(Book [1-4AB], .+|Book C-[237].*|schemes' rules)$`)
	for _, r := range rows {
		rule, where, name, test, row := r[1], r[2], r[3], r[4], r[5]
		if !section.MatchString(where) {
			t.Errorf("%s: %q is no section", rule, where)
		}
		if !strings.Contains(text[name], "func "+test+"(t *testing.T)") {
			t.Errorf("%s: no test %s.%s", rule, name, test)
		}
		if row != "" && !strings.Contains(text[name], `"`+row+`"`) {
			t.Errorf("%s: no row %q in %s.%s", rule, row, name, test)
		}
	}
	if n := strings.Count(string(doc), ".Test"); n != len(rows) {
		t.Errorf("%d tests are named, %d rows were read", n, len(rows))
	}
}
