package rdb

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"fulmen/internal/crc"
)

// sealed ends a payload of functions.
func sealed(body string, version uint16) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(body), version)
	return binary.LittleEndian.AppendUint64(b, crc.Sum64(b))
}

// decodedFunctions returns the code of all libraries.
func decodedFunctions(payload []byte) (codes [][]byte, err error) {
	err = DecodeFunctions(payload, func(code []byte) error {
		codes = append(codes, code)
		return nil
	})
	return codes, err
}

func TestFunctionsRoundTrip(t *testing.T) {
	codes := [][]byte{[]byte("#!lua name=a\nreturn"), nil, []byte(strings.Repeat("redis.register_function ", 1000))}
	for _, lzf := range []bool{false, true} {
		payload := AppendFunctions([]byte("before"), codes, lzf)[len("before"):]
		if short := len(payload) < 2000; short != lzf {
			t.Errorf("%d bytes, compressed: %v", len(payload), lzf)
		}
		got, err := decodedFunctions(payload)
		if err != nil || !slices.EqualFunc(got, codes, slices.Equal) {
			t.Errorf("%q, %v", got, err)
		}
	}
	// As redis-server 7.0.15 has it.
	const empty = "\n\x00]\x9b\\@\x0f\x7f\xa2\xda"
	if got := AppendFunctions(nil, nil, true); string(got) != empty {
		t.Errorf("no libraries: %q", got)
	}
}

func TestFunctionsThatAreNone(t *testing.T) {
	for _, c := range []struct {
		payload []byte
		want    error
	}{
		{nil, ErrPayload},
		{[]byte("x"), ErrPayload},
		{sealed("", MaxVersion+1), ErrPayload},
		{append(sealed("", 10)[:9], 'x'), ErrPayload},
		{sealed("\x00", 10), errNoFunction},
		{sealed("\xf5\x01x\xfa\x01a\x01b", 10), errNoFunction},
		{sealed("\xf5\x20abc", 10), errLibrary},
		{sealed("\xf6", 10), errLibrary},
		{sealed("\xf5", 10), errLibrary},
	} {
		if codes, err := decodedFunctions(c.payload); !errors.Is(err, c.want) {
			t.Errorf("%q: %q, %v; want %v", c.payload, codes, err, c.want)
		}
	}
	old := sealed("\xf6\x02l1\x03LUA\x00\x06return\xf6\x02l2\x03lua\x01\x04text\x06return", 9)
	codes, err := decodedFunctions(old)
	if err != nil || len(codes) != 2 || string(codes[0]) != "#!LUA name=l1\nreturn" ||
		string(codes[1]) != "#!lua name=l2\nreturn" {
		t.Errorf("%q, %v", codes, err)
	}
}
