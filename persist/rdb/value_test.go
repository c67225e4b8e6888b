package rdb

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// double is a binary score.
func double(f float64) string {
	return string(binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)))
}

// ms is a time.
func ms(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// ints is an intset of numbers of a size.
func ints(size int, numbers ...int64) string {
	b := binary.LittleEndian.AppendUint32(nil, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(numbers)))
	for _, n := range numbers {
		b = append(b, little(n, size)...)
	}
	return str(string(b))
}

func lp(elements ...string) string { return str(makeListpack(elements...)) }
func zl(elements ...string) string { return str(makeZiplist(elements...)) }

type valueTest struct {
	name    string
	rdbType byte
	value   string
	want    string
}

// valueTests have every type and every form of its elements, above all those that today's servers don't write any more.
func valueTests() []valueTest {
	long := strings.Repeat("x", 300)
	huge := strings.Repeat("y", 70_000)
	odd := strings.Repeat("z", 1<<14-1-5)
	return []valueTest{
		{"a string", TypeString, str("abc"), `string "abc"`},
		{"an empty string", TypeString, str(""), `string ""`},
		{"a long string", TypeString, str(long), "string " + quote([]byte(long))},
		{"a huge string", TypeString, str(huge), "string " + quote([]byte(huge))},
		{"int8", TypeString, "\xC0\x80", `string "-128"`},
		{"int16", TypeString, "\xC1\xFF\x7F", `string "32767"`},
		{"int32", TypeString, "\xC2\x00\x00\x00\x80", `string "-2147483648"`},
		{"LZF", TypeString, "\xC3\x06\x0B\x02abc\xC0\x02", `string "abcabcabcab"`},

		{"a list", TypeList, "\x03" + str("b") + "\xC0\x01" + str(""), `list "b" "1" ""`},
		{"a list, ziplist", TypeListZiplist, zl("b", "a", "-5"), `list "b" "a" "-5"`},
		{"a list, quicklist", TypeListQuicklist, "\x03" + zl("b", "a") + zl() + zl("9"), `list "b" "a" "9"`},
		{"a list, quicklist 2", TypeListQuicklist2, "\x04\x02" + lp("b", "a") + "\x01" + str(long) + "\x02" + lp() +
			"\x02" + lp("9"),
			`list "b" "a" ` + quote([]byte(long)) + ` "9"`},

		{"a list, an element of 16,383 bytes as Redis 7.0.15 writes it", TypeListQuicklist2,
			"\x01\x02\x80\x00\x00\x40\x09\x09\x40\x00\x00\x01\x00\xF0\xFA\x3F\x00\x00" + odd +
				"\x00\xFF\xFF\xFF", "list " + quote([]byte(odd))},

		{"a set", TypeSet, "\x02" + str("b") + "\xC0\x01", `set "1" "b"`},
		{"a set, intset 2", TypeSetIntset, ints(2, -32768, 0, 32767), `set "-32768" "0" "32767"`},
		{"a set, intset 4", TypeSetIntset, ints(4, -1<<31, 1<<31-1), `set "-2147483648" "2147483647"`},
		{"a set, intset 8", TypeSetIntset, ints(8, math.MinInt64, math.MaxInt64),
			`set "-9223372036854775808" "9223372036854775807"`},
		{"a set, listpack", TypeSetListpack, lp("b", "1"), `set "1" "b"`},

		{"a stream", TypeStreamListpacks3, streamValue(TypeStreamListpacks3),
			`stream 1-1 "f"="v" 2-0 "1"="2" "a"="" length 2 added 1280 first 1-1 last 1024-1 deleted 0-4 ` +
				`group "group" last 1-1 read 265 pending 1-1 at 1 times 5 pending 7-8 at 2 times 144 ` +
				`consumer "consumer" seen 3 owns 1-1 owns 7-8`},

		{"a zset, text", TypeZSet, "\x06" + str("a") + "\x031.5" + str("b") + "\xFE" + str("c") + "\xFF" + str("d") +
			"\x1920000000000000000000e-320" + str("e") + "\x180.10000000000000000555e0" + str("f") + "\x02-7",
			`zset "a" 1.5 "b" +Inf "c" -Inf "d" 2e-301 "e" 0.1 "f" -7`},
		{"a zset, binary", TypeZSet2, "\x03" + str("a") + double(0.1) + str("b") + double(math.Inf(-1)) +
			"\xC0\x05" + double(math.Copysign(0, -1)),
			`zset "5" -0 "a" 0.1 "b" -Inf`},
		{"a zset, ziplist", TypeZSetZiplist, zl("a", "1", "7", "2.5", "c", "inf", "d", "-inf"),
			`zset "7" 2.5 "a" 1 "c" +Inf "d" -Inf`},
		{"a zset, listpack", TypeZSetListpack, lp("a", "-1", "7", "1e300"), `zset "7" 1e+300 "a" -1`},

		{"a hash", TypeHash, "\x02" + str("f") + str("v") + str("g") + "\xC1\xE8\x03", `hash "f"="v" "g"="1000"`},
		{"a hash, compressed fields", TypeHash, "\x01\xC3\x06\x0B\x02abc\xC0\x02\xC3\x06\x0B\x02xyz\xC0\x02",
			`hash "abcabcabcab"="xyzxyzxyzxy"`},
		{"a hash, numbers", TypeHash, "\x01\xC0\x01\xC0\x02", `hash "1"="2"`},
		{"a hash, ziplist", TypeHashZiplist, zl("f", "1", "2", "g"), `hash "2"="g" "f"="1"`},
		{"a hash, listpack", TypeHashListpack, lp("f", "1", "2", "g", "3", "4"), `hash "2"="g" "3"="4" "f"="1"`},
		{"a hash, zipmap", TypeHashZipmap, str("\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xFF"),
			`hash "foo"="bar" "hello"="world"`},
		{"a hash, long zipmap", TypeHashZipmap, str("\xFE\xFE\x2C\x01\x00\x00" + long +
			"\xFE\x01\x00\x00\x00\x00v\x00\x00\x00\xFF"),
			`hash ""="" ` + quote([]byte(long)) + `="v"`},
		{"a hash, expiries", TypeHashMetadata, ms(1000) + "\x03\x00" + str("f") + str("v") + "\x01" + str("g") +
			str("w") + "\x65" + "\x00" + str("h") + str("x"),
			`hash "f"="v" "g"="w"@1000 "h"="x"@10471`},
		{"a hash, highest expiry", TypeHashMetadata, ms(maxFieldExpiry) + "\x01\x01" + str("f") + str("v"),
			`hash "f"="v"@281474976710655`},
		{"a hash, no expiry at all", TypeHashMetadata, ms(maxFieldExpiry+1) + "\x01\x00" + str("f") + str("v"),
			`hash "f"="v"`},
		{"a hash, expiries in listpack", TypeHashListpackEx, ms(1000) + lp("f", "1", "5000", "g", "w", "0"),
			`hash "f"="1"@5000 "g"="w"`},
		{"a hash, expiries of 7.4's RC", TypeHashMetadataPre, "\x02\x00" + str("f") + str("v") + "\x43\xE8" +
			str("g") + str("w"), `hash "f"="v" "g"="w"@1000`},
		{"the same in listpack", TypeHashListpackExPre, lp("f", "1", "5000", "g", "w", "0"),
			`hash "f"="1"@5000 "g"="w"`},
	}
}

func TestValues(t *testing.T) {
	for _, test := range valueTests() {
		got, err := decode(t, test.rdbType, test.value)
		if got != test.want || err != nil {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
		if _, err := decode(t, test.rdbType, test.value+"\x00"); err == nil {
			t.Errorf("%s: with a byte more it is accepted", test.name)
		}
		for n := range min(len(test.value), 2000) {
			err := DecodeDump(payload(test.rdbType, test.value[:n]), Discard{})
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Fatalf("%s: cut to %d bytes: %v", test.name, n, err)
			}
		}
	}
}

func TestEmptyValues(t *testing.T) {
	for _, test := range []struct {
		rdbType byte
		value   string
	}{
		{TypeList, "\x00"}, {TypeSet, "\x00"}, {TypeZSet, "\x00"}, {TypeZSet2, "\x00"}, {TypeHash, "\x00"},
		{TypeListZiplist, zl()}, {TypeListQuicklist, "\x00"}, {TypeListQuicklist, "\x02" + zl() + zl()},
		{TypeListQuicklist2, "\x01\x02" + lp()}, {TypeSetIntset, ints(2)}, {TypeSetListpack, lp()},
		{TypeZSetZiplist, zl()}, {TypeZSetListpack, lp()}, {TypeHashZiplist, zl()}, {TypeHashListpack, lp()},
		{TypeHashZipmap, str("\x00\xFF")}, {TypeHashMetadata, ms(5) + "\x00"}, {TypeHashListpackEx, ms(5) + lp()},
		{TypeHashMetadataPre, "\x00"}, {TypeHashListpackExPre, lp()},
	} {
		if _, err := decode(t, test.rdbType, test.value); err != ErrEmpty {
			t.Errorf("type %d, %x: %v", test.rdbType, test.value, err)
		}
	}
}

func TestCorruptValues(t *testing.T) {
	for _, test := range []struct {
		name    string
		rdbType byte
		value   string
		reason  string
	}{
		{"more items than there are", TypeList, "\x80\xFF\xFF\xFF\xFF\x01a", "ends too early"},
		{"a string longer than all", TypeString, "\x81\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFFabc", "ends too early"},
		{"no string", TypeString, "\x83abc", "begins no length"},
		{"a set of nothing", TypeSet, "\x02\x01a", "ends too early"},
		{"numbers that don't ascend", TypeSetIntset, ints(2, 5, 3), "don't ascend"},
		{"a number twice", TypeSetIntset, ints(8, 5, 5), "don't ascend"},
		{"numbers of 3 bytes", TypeSetIntset, str("\x03\x00\x00\x00\x01\x00\x00\x00abc"), "have no size"},
		{"numbers of 0 bytes", TypeSetIntset, str("\x00\x00\x00\x00\x01\x00\x00\x00"), "have no size"},
		{"fewer numbers", TypeSetIntset, str("\x02\x00\x00\x00\x02\x00\x00\x00ab"), "another length"},
		{"more numbers", TypeSetIntset, str("\x02\x00\x00\x00\x01\x00\x00\x00abcd"), "another length"},
		{"numbers beyond all", TypeSetIntset, str("\x08\x00\x00\x00\xFF\xFF\xFF\xFFabcdefgh"), "another length"},
		{"numbers whose length overflows", TypeSetIntset, str("\x08\x00\x00\x00\x01\x00\x00\x20abcdefgh"),
			"another length"},
		{"half of an intset", TypeSetIntset, str("\x02\x00\x00"), "no header"},
		{"NaN", TypeZSet2, "\x01\x01a" + double(math.NaN()), nanScore},
		{"NaN with a sign and a load", TypeZSet2, "\x01\x01a" + "\x01\x00\x00\x00\x00\x00\xF8\xFF", nanScore},
		{"NaN as text", TypeZSet, "\x01\x01a\xFD", nanScore},
		{"nan as text", TypeZSet, "\x01\x01a\x03nan", nanScore},
		{"no score", TypeZSet, "\x01\x01a\x00", nanScore},
		{"no number", TypeZSet, "\x01\x01a\x031x5", nanScore},
		{"nan in a ziplist", TypeZSetZiplist, zl("a", "nan"), nanScore},
		{"no number in a listpack", TypeZSetListpack, lp("a", "b"), nanScore},
		{"a member without a score", TypeZSetListpack, lp("a", "1", "b"), "no multiple of 2"},
		{"the same in a ziplist", TypeZSetZiplist, zl("a", "1", "b"), "no multiple of 2"},
		{"a field without a value", TypeHashZiplist, zl("a"), "no multiple of 2"},
		{"the same in a listpack", TypeHashListpack, lp("a", "b", "c"), "no multiple of 2"},
		{"a field without an expiry", TypeHashListpackEx, ms(0) + lp("f", "v", "1", "g", "w"), "no multiple of 3"},
		{"a field alone", TypeHashListpackExPre, lp("f"), "no multiple of 3"},
		{"an expiry that is text", TypeHashListpackEx, ms(0) + lp("f", "v", "x"), badFieldExpiry},
		{"a negative expiry", TypeHashListpackEx, ms(0) + lp("f", "v", "-1"), badFieldExpiry},
		{"an expiry beyond all", TypeHashListpackEx, ms(0) + lp("f", "v", "281474976710656"), badFieldExpiry},
		{"the same", TypeHashMetadata, ms(maxFieldExpiry) + "\x01\x02\x01f\x01v", badFieldExpiry},
		{"one that overflows", TypeHashMetadata, ms(5) + "\x01\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01f\x01v",
			badFieldExpiry},
		{"a base beyond all", TypeHashMetadata, ms(maxFieldExpiry+2) + "\x01\x00\x01f\x01v", badFieldExpiry},
		{"a negative base", TypeHashListpackEx, ms(1<<64-1) + lp("f", "v", "0"), badFieldExpiry},
		{"an absolute one beyond all", TypeHashMetadataPre, "\x01\x81\x00\x01\x00\x00\x00\x00\x00\x00\x01f\x01v",
			badFieldExpiry},
		{"a zipmap without its end", TypeHashZipmap, str("\x01\x01f\x01\x00v"), "no end"},
		{"a zipmap that ends too early", TypeHashZipmap, str("\x01\x01f\x01\x00v\xFF\xFF"), "before its last"},
		{"a zipmap of fewer", TypeHashZipmap, str("\x02\x01f\x01\x00v\xFF"), "another number"},
		{"a zipmap of no known number", TypeHashZipmap, str("\xFF\x01f\x01\x00v\xFF"), "another number"},
		{"a zipmap's field without a value", TypeHashZipmap, str("\x01\x01f\xFF"), "beyond the end"},
		{"a zipmap's value beyond the end", TypeHashZipmap, str("\x01\x01f\x02\x00v\xFF"), "beyond the end"},
		{"unused bytes beyond the end", TypeHashZipmap, str("\x01\x01f\x01\x09v\xFF"), "beyond the end"},
		{"a zipmap's length beyond the end", TypeHashZipmap, str("\x01\xFE\x01\x00\xFF"), "beyond the end"},
		{"a zipmap's length beyond all", TypeHashZipmap, str("\x01\xFE\xFF\xFF\xFF\xFF\x01\x00v\xFF"),
			"beyond the end"},
		{"a zipmap of nothing", TypeHashZipmap, str("\xFF"), "no header"},
		{"no type", 8, "", "8 is no type"},
		{"an old module's value", TypeModulePre, "", "release candidates"},
		{"an opcode", opEOF, "", "opcode 255"},
	} {
		err := DecodeDump(payload(test.rdbType, test.value), Discard{})
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(corrupt.Reason, test.reason) {
			t.Errorf("%s: %v", test.name, err)
		}
		if _, ok := TypeOf(test.rdbType); ok {
			if _, err := decode(t, test.rdbType, test.value); err == nil {
				t.Errorf("%s: accepted", test.name)
			}
		}
	}
}

// TestBuilderErrors: an error of the builder comes back as it is, whichever it is and whenever, and is final.
func TestBuilderErrors(t *testing.T) {
	for rdbType, value := range map[byte]string{
		TypeString: str("a"), TypeList: "\x02\x01a\x01b", TypeListZiplist: zl("a", "b"),
		TypeListQuicklist2: "\x02\x02" + lp("a") + "\x01\x01b",
		TypeSet:            "\x02\x01a\x01b", TypeSetIntset: ints(2, 1, 2), TypeSetListpack: lp("a", "b"),
		TypeZSet2:       "\x01\x01a" + double(1),
		TypeZSetZiplist: zl("a", "1"), TypeHash: "\x01\x01a\x01b", TypeHashListpack: lp("a", "b"),
		TypeHashListpackEx: ms(0) + lp("a", "b", "5"),
		TypeHashMetadata:   ms(5) + "\x01\x00\x01f\x01v", TypeHashZipmap: str("\x01\x01f\x01\x00v\xFF"),
		TypeStreamListpacks: streamValue(TypeStreamListpacks),
	} {
		for failAt := 1; failAt <= 2; failAt++ {
			b := recorder{t: t, failAt: failAt}
			if err := DecodeDump(payload(rdbType, value), &b); err != errBuilder {
				t.Errorf("type %d, call %d: %v", rdbType, failAt, err)
			}
			b = recorder{t: t, failAt: failAt}
			r := NewReader(strings.NewReader(string(file(12, string(rdbType)+"\x01k"+value))), "")
			if _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
			if err := r.Value(&b); err != errBuilder {
				t.Errorf("type %d, call %d: %v", rdbType, failAt, err)
			}
			if _, err := r.Next(); err != errBuilder {
				t.Errorf("type %d: after the error Next gives %v", rdbType, err)
			}
		}
	}
}

// emptyBuilder fails with an error that has a meaning of its own.
type emptyBuilder struct{ Discard }

func (emptyBuilder) Item([]byte) error { return ErrEmpty }

// TestBuilderSaysEmpty: what the reader says of itself is not taken from a builder.
func TestBuilderSaysEmpty(t *testing.T) {
	r := NewReader(strings.NewReader(string(file(12, "\x01\x01k\x02\x01a\x01b"))), "")
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if err := r.Value(emptyBuilder{}); err != ErrEmpty {
		t.Error(err)
	}
	if _, err := r.Next(); err != ErrEmpty {
		t.Errorf("the reader goes on in the middle of a value: %v", err)
	}
}

func TestPayload(t *testing.T) {
	good := string(payload(TypeString, str("abc")))
	if err := checkDump([]byte(good)); err != nil {
		t.Error(err)
	}
	newer := []byte(good[:len(good)-10])
	newer = append(newer, MaxVersion+1, 0)
	newer = binary.LittleEndian.AppendUint64(newer, 0)
	zero := append([]byte(good[:len(good)-8]), make([]byte, 8)...)
	for name, bad := range map[string]string{
		"nothing": "", "nine bytes": good[:9], "cut": good[:len(good)-1], "longer": good + "\x00",
		"a newer version": string(newer),
		"no checksum":     string(zero),
	} {
		if err := DecodeDump([]byte(bad), Discard{}); err != ErrPayload {
			t.Errorf("%s: %v", name, err)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := []byte(good)
			bad[i] ^= 1 << bit
			if checkDump(bad) != ErrPayload {
				t.Errorf("bit %d of byte %d means nothing", bit, i)
			}
		}
	}
	if err := DecodeDump(sign([]byte{Version7, 0}), Discard{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no type: %v", err)
	}
}

// TestNewerPayload: the version alone refuses, even with the right checksum.
func TestNewerPayload(t *testing.T) {
	b := payload(TypeString, str("abc"))
	for _, version := range []byte{0, 6, MaxVersion, MaxVersion + 1} {
		b[len(b)-10] = version
		signed := sign(b[:len(b)-8])
		if err := checkDump(signed); (err == nil) != (version <= MaxVersion) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestDecodeValue: what Raw gives is what DecodeValue takes.
func TestDecodeValue(t *testing.T) {
	r := NewReader(strings.NewReader(string(file(12, "\x01\x01k\x02\x01a\x01b"))), "")
	e, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := r.Raw(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := recorder{t: t}
	if err := DecodeValue(e.Type, raw, &b); err != nil || b.text() != `list "a" "b"` {
		t.Errorf("%v, %s", err, b.text())
	}
	if err := DecodeValue(e.Type, raw[:len(raw)-1], Discard{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}
