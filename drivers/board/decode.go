package board

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// FieldError names the field of a profile that is wrong and why.
type FieldError struct {
	// Path is the field from the root, such as "parts.icc.port"; empty for the
	// document itself.
	Path string
	// Problem says what is wrong and what is wanted.
	Problem string
}

func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

func wrong(path, format string, a ...any) error {
	return &FieldError{Path: path, Problem: fmt.Sprintf(format, a...)}
}

// Decode reads and validates a profile. Every error is a *FieldError.
func Decode(data []byte) (*Profile, error) {
	if len(data) > maxProfile {
		return nil, wrong("", "profile is longer than %d bytes", maxProfile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return nil, wrong("", "not JSON: %v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, wrong("", "something follows the profile")
	}
	p := new(Profile)
	if err := decodeValue("", raw, reflect.ValueOf(p).Elem()); err != nil {
		return nil, err
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

// decodeValue fills v, whose type bounds the depth, from raw.
func decodeValue(path string, raw json.RawMessage, v reflect.Value) error {
	if bytes.Equal(raw, []byte("null")) {
		return wrong(path, "null; leave the field out instead")
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(path, raw, v.Elem())
	case reflect.Struct:
		return decodeObject(path, raw, v)
	}
	if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
		return wrong(path, "%s is not %s", clip(raw), kindName(v.Kind()))
	}
	return nil
}

func decodeObject(path string, raw json.RawMessage, v reflect.Value) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return wrong(path, "%s is not an object", clip(raw))
	}
	fields, names := fieldsOf(v)
	seen := map[string]bool{}
	for dec.More() { // bounded by the length of raw
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return wrong(path, "broken object: %v", err)
		}
		at := join(path, clip([]byte(name)))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return wrong(at, "broken value: %v", err)
		}
		f, known := fields[name]
		switch {
		case !known:
			return wrong(at, "unknown field; known here: %s", strings.Join(names, ", "))
		case seen[name]:
			return wrong(at, "given twice")
		}
		seen[name] = true
		if err := decodeValue(at, value, f); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf maps JSON names to the fields of v and lists the names in order.
func fieldsOf(v reflect.Value) (map[string]reflect.Value, []string) {
	m, names := map[string]reflect.Value{}, []string(nil)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		m[name] = v.Field(i)
		names = append(names, name)
	}
	return m, names
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// clip shortens a value for a message.
func clip(raw []byte) string {
	const most = 40
	if len(raw) > most {
		return fmt.Sprintf("%.*q...", most, raw)
	}
	return string(raw)
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint16:
		return "a whole number from 0 to 65535"
	}
	return "a whole number from 0 to 4294967295"
}
