package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// check walks the whole body against the shape of m before encoding/json sees it: that package ignores case in keys,
// takes the last of duplicate keys, turns bad UTF-8 into replacement characters and names no path for unknown fields.
func check(body []byte, m Message) error {
	if len(body) > MaxMessage {
		return &FieldError{Kind: ErrTooLarge, Detail: fmt.Sprintf("%d bytes, at most %d", len(body), MaxMessage)}
	}
	if !utf8.Valid(body) {
		return &FieldError{Kind: ErrNotUTF8}
	}
	if depth(body) > MaxDepth {
		return &FieldError{Kind: ErrTooDeep, Detail: fmt.Sprintf("at most %d levels", MaxDepth)}
	}
	if !json.Valid(body) {
		return &FieldError{Kind: ErrSyntax}
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	w := walker{dec: dec, strict: m.strict()}
	return w.value(reflect.TypeOf(m), "")
}

// depth is the deepest nesting of brackets outside strings; no recursion, so that no depth can hurt.
func depth(body []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(body); i++ {
		switch b := body[i]; {
		case inString && b == '\\':
			i++
		case b == '"':
			inString = !inString
		case inString:
		case b == '{' || b == '[':
			now++
			deepest = max(deepest, now)
		case b == '}' || b == ']':
			now--
		}
	}
	return deepest
}

type walker struct {
	dec    *json.Decoder
	strict bool
}

var timeType = reflect.TypeFor[time.Time]()

// value consumes one JSON value and compares it with t; a nil t accepts any shape.
func (w *walker) value(t reflect.Type, path string) error {
	token, err := w.dec.Token()
	if err != nil {
		return &FieldError{Path: path, Kind: ErrSyntax, Detail: err.Error()}
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return w.object(t, path)
		}
		return w.array(t, path)
	case string:
		return text(v, t, path)
	case json.Number:
		return number(v.String(), t, path)
	case bool:
		if t != nil && t.Kind() != reflect.Bool {
			return wrongType(t, path, "a boolean")
		}
	case nil:
		if t != nil {
			return wrongType(t, path, "null")
		}
	}
	return nil
}

func (w *walker) object(t reflect.Type, path string) error {
	if t != nil && (t.Kind() != reflect.Struct || t == timeType) {
		return wrongType(t, path, "an object")
	}
	var known map[string]reflect.Type
	if t != nil {
		known = fields(t)
	}
	seen := map[string]bool{}
	for w.dec.More() {
		token, err := w.dec.Token()
		if err != nil {
			return &FieldError{Path: path, Kind: ErrSyntax, Detail: err.Error()}
		}
		key, _ := token.(string)
		if !snake(key) {
			return &FieldError{Path: path, Kind: ErrKey, Detail: quote(key)}
		}
		at := join(path, key)
		if seen[key] {
			return &FieldError{Path: at, Kind: ErrDuplicate}
		}
		seen[key] = true
		field, ok := known[key]
		if !ok && t != nil && w.strict {
			return &FieldError{Path: at, Kind: ErrUnknown}
		}
		if err := w.value(field, at); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func (w *walker) array(t reflect.Type, path string) error {
	var elem reflect.Type
	if t != nil {
		if t.Kind() != reflect.Slice || t.Elem().Kind() == reflect.Uint8 {
			return wrongType(t, path, "an array")
		}
		elem = t.Elem()
	}
	for i := 0; w.dec.More(); i++ {
		if err := w.value(elem, path+"["+strconv.Itoa(i)+"]"); err != nil {
			return err
		}
	}
	_, err := w.dec.Token()
	return err
}

func text(s string, t reflect.Type, path string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return &FieldError{Path: path, Kind: ErrNotUTF8, Detail: "a lone surrogate or replacement character"}
	}
	switch {
	case t == nil || t.Kind() == reflect.String:
	case t == timeType:
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			return &FieldError{Path: path, Kind: ErrType, Detail: "want an RFC 3339 time, have " + quote(s)}
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		if strings.ContainsAny(s, "\r\n") || !base64Clean(s) {
			return &FieldError{Path: path, Kind: ErrType, Detail: "want standard base64"}
		}
	default:
		return wrongType(t, path, "a string")
	}
	return nil
}

func number(s string, t reflect.Type, path string) error {
	if t == nil {
		return nil
	}
	var err error
	switch t.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		_, err = strconv.ParseInt(s, 10, t.Bits())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		_, err = strconv.ParseUint(s, 10, t.Bits())
	default:
		return wrongType(t, path, "a number")
	}
	if err != nil {
		return &FieldError{Path: path, Kind: ErrType, Detail: "want a whole number that fits " + t.Kind().String() + ", have " + quote(s)}
	}
	return nil
}

func wrongType(t reflect.Type, path, have string) error {
	want := "an object"
	switch {
	case t == timeType:
		want = "a time"
	case t.Kind() == reflect.String:
		want = "a string"
	case t.Kind() == reflect.Bool:
		want = "a boolean"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		want = "base64"
	case t.Kind() == reflect.Slice:
		want = "an array"
	case t.Kind() != reflect.Struct:
		want = "a whole number"
	}
	return &FieldError{Path: path, Kind: ErrType, Detail: "want " + want + ", have " + have}
}

// fieldTables remembers the JSON keys of each message struct.
var fieldTables sync.Map // reflect.Type -> map[string]reflect.Type

func fields(t reflect.Type) map[string]reflect.Type {
	if table, ok := fieldTables.Load(t); ok {
		return table.(map[string]reflect.Type)
	}
	table := make(map[string]reflect.Type, t.NumField())
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if key != "" && key != "-" {
			table[key] = t.Field(i).Type
		}
	}
	fieldTables.Store(t, table)
	return table
}

func snake(key string) bool {
	return key != "" && len(key) <= 64 && only(key, func(b byte) bool { return digit(b) || b >= 'a' && b <= 'z' || b == '_' })
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
