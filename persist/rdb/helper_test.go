package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"fulmen/internal/crc"
	"fulmen/shard/object"
)

// recorder is a Builder that keeps a value as text. It fails the test if it is called as no Builder may be.
type recorder struct {
	t      testing.TB
	form   Form
	begun  bool
	lines  []string
	failAt int // the call that fails with failure, from 1 on; Begin counts
	calls  int
}

var errBuilder = errors.New("the builder's error")

func (r *recorder) call(want object.Type, line string) error {
	r.t.Helper()
	if !r.begun || r.form.Type != want {
		r.t.Errorf("called for a %v in a %v, begun: %v", want, r.form.Type, r.begun)
	}
	r.lines = append(r.lines, line)
	return r.count()
}

func (r *recorder) count() error {
	if r.calls++; r.calls == r.failAt {
		return errBuilder
	}
	if r.failAt > 0 && r.calls > r.failAt {
		r.t.Error("called after an error")
	}
	return nil
}

func (r *recorder) Begin(f Form) error {
	if r.begun {
		r.t.Error("begun twice")
	}
	if t, ok := TypeOf(f.RDBType); !ok || t != f.Type {
		r.t.Errorf("form %+v", f)
	}
	r.begun, r.form = true, f
	return r.count()
}

func (r *recorder) String(b []byte) error { return r.call(object.String, quote(b)) }
func (r *recorder) Item(b []byte) error   { return r.call(object.List, quote(b)) }
func (r *recorder) Member(b []byte) error { return r.call(object.Set, quote(b)) }
func (r *recorder) Scored(member []byte, score float64) error {
	if score != score {
		r.t.Error("NaN")
	}
	return r.call(object.ZSet, quote(member)+" "+strconv.FormatFloat(score, 'g', -1, 64))
}

func (r *recorder) Field(field, value []byte, expireAtMs int64) error {
	line := quote(field) + "=" + quote(value)
	if expireAtMs != 0 {
		line += "@" + strconv.FormatInt(expireAtMs, 10)
	}
	return r.call(object.Hash, line)
}

// text is the value, the same for the same value in any order that its type allows.
func (r *recorder) text() string {
	if r.form.Type != object.List && r.form.Type != object.Stream {
		slices.Sort(r.lines)
	}
	return r.form.Type.String() + " " + strings.Join(r.lines, " ")
}

// quote is b in quotes, or what is enough to tell it from others if it is long.
func quote(b []byte) string {
	if len(b) <= 40 {
		return strconv.Quote(string(b))
	}
	return fmt.Sprintf("%q…%d:%016x", b[:10], len(b), crc.Sum64(b))
}

// play reads a file and returns its events and values, a line each, and the error that ended it; nil for a good end.
func play(t testing.TB, in io.Reader, o ReadOptions) (lines []string, err error) {
	r := NewReaderOptions(in, o)
	for {
		e, err := r.Next()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			if again, err2 := r.Next(); err2 != err || again.Kind != 0 {
				t.Errorf("after error %v Next gives %v, %v", err, again, err2)
			}
			return lines, err
		}
		line := describe(e)
		if e.Kind == EventKey {
			b := recorder{t: t}
			switch err := r.Value(&b); {
			case err == ErrEmpty, err == ErrUnsupported:
				line += err.Error()
			case err != nil:
				return lines, err
			default:
				line += b.text()
			}
		}
		lines = append(lines, line)
	}
}

// describe is an event in a line.
func describe(e Event) string {
	switch e.Kind {
	case EventAux:
		return fmt.Sprintf("aux %q %q", e.AuxKey, e.AuxValue)
	case EventSelectDB:
		return fmt.Sprintf("select %d", e.DB)
	case EventResizeDB:
		return fmt.Sprintf("resize %d %d", e.Keys, e.Expires)
	case EventSlotInfo:
		return fmt.Sprintf("slot %d %d %d", e.Slot, e.Keys, e.Expires)
	case EventFunction:
		return fmt.Sprintf("function %s %q %q", quote(e.Code), e.AuxKey, e.AuxValue)
	case EventModuleAux:
		return "module " + e.Module
	}
	line := fmt.Sprintf("db%d %q type %d ", e.DB, e.Key, e.Type)
	if e.ExpireAtMs != 0 {
		line += fmt.Sprintf("expire %d ", e.ExpireAtMs)
	}
	if e.IdleSeconds >= 0 {
		line += fmt.Sprintf("idle %d ", e.IdleSeconds)
	}
	if e.Freq >= 0 {
		line += fmt.Sprintf("freq %d ", e.Freq)
	}
	if e.Module != "" {
		line += "module " + e.Module + " "
	}
	return line
}

// file is a file of a version with these parts, its end and checksum.
func file(version int, parts ...string) []byte {
	b := fmt.Appendf(nil, "REDIS%04d%s\xFF", version, strings.Join(parts, ""))
	if version >= checksumVersion {
		b = binary.LittleEndian.AppendUint64(b, crc.Sum64(b))
	}
	return b
}

// payload is what DUMP would reply.
func payload(rdbType byte, value string) []byte {
	b := append([]byte{rdbType}, value...)
	return sign(append(b, Version7, 0))
}

// sign is b with its checksum.
func sign(b []byte) []byte { return binary.LittleEndian.AppendUint64(bytes.Clone(b), crc.Sum64(b)) }

// decode decodes a value in all ways there are, and fails if they differ.
func decode(t *testing.T, rdbType byte, value string) (string, error) {
	t.Helper()
	b := recorder{t: t}
	err := DecodeDump(payload(rdbType, value), &b)
	text := b.text()
	if err != nil {
		text = ""
	}
	b = recorder{t: t}
	r := NewReader(iotest.OneByteReader(bytes.NewReader(file(11, string(rdbType)+"\x01k", value))), "x.rdb")
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	err2 := r.Value(&b)
	if err2 == nil || err2 == ErrEmpty {
		if _, end := r.Next(); end != io.EOF {
			err2 = end
		}
	}
	if (err == nil) != (err2 == nil) || err == nil && b.text() != text {
		t.Errorf("from a payload %q, %v; from a file %q, %v", text, err, b.text(), err2)
	}
	return text, err
}

// str is a string as a value holds it.
func str(s string) string {
	switch n := len(s); {
	case n < 64:
		return string([]byte{byte(n)}) + s
	case n < 1<<14:
		return string([]byte{0x40 | byte(n>>8), byte(n)}) + s
	}
	return "\x80" + string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s
}
