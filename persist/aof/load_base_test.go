package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"fulmen/internal/resp"
	"fulmen/persist/lines"
	"fulmen/persist/log"
	"fulmen/persist/vfs/vfstest"
)

// readBase reads text as a BASE of which the manifest says f, and returns what was visited: a line a command, with its
// database.
func readBase(t *testing.T, disk *vfstest.Mem, text []byte, f File) (got []string, read int64, err error) {
	t.Helper()
	const name = testDir + "/base"
	file, createErr := disk.Create(name, 0o644)
	must(t, createErr)
	_, writeErr := file.Write(text)
	must(t, errors.Join(writeErr, file.Close()))
	err = ReadBase(disk, name, &f, func(records []byte, n int64) error {
		read += n
		db := "0"
		return log.ForEachIn(records, func(args [][]byte) error {
			if string(args[0]) == "SELECT" {
				db = string(args[1])
			} else {
				got = append(got, db+" "+string(bytes.Join(args, []byte(" "))))
			}
			return nil
		})
	})
	return got, read, err
}

// TestReadBase: commands come as they are, each in its database, wherever what is read at a time ends.
func TestReadBase(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 4 {
		var text []byte
		var want []string
		db := 0
		for i := range 100 {
			if rnd.IntN(5) == 0 {
				db = rnd.IntN(3)
				text = resp.AppendCommandStrings(text, "SELECT", fmt.Sprint(db))
			}
			n := rnd.IntN(1000)
			if rnd.IntN(30) == 0 {
				n = rnd.IntN(2 * readBytes)
			}
			args := []string{"SET", fmt.Sprint("k", i), strings.Repeat(fmt.Sprint(i), n)}
			text = resp.AppendCommandStrings(text, args...)
			want = append(want, fmt.Sprint(db, " ", strings.Join(args, " ")))
		}
		f := File{SizeBytes: int64(len(text)), CRC64: lines.Sum(0, text)}
		got, read, err := readBase(t, newDisk(t), text, f)
		if err != nil || read != f.SizeBytes || strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("round %d: %d commands of %d, %d bytes of %d: %v", round, len(got), len(want), read, f.SizeBytes,
				err)
		}
	}
	if got, _, err := readBase(t, newDisk(t), nil, File{}); err != nil || len(got) != 0 {
		t.Errorf("an empty one: %q, %v", got, err)
	}
}

// TestReadBaseDamaged: a BASE that ends early, or has a bit that differs, is not taken for right.
func TestReadBaseDamaged(t *testing.T) {
	var text []byte
	for i := range 5 {
		text = resp.AppendCommandStrings(text, "SELECT", fmt.Sprint(i%2))
		text = resp.AppendCommandStrings(text, "SET", fmt.Sprint("k", i), fmt.Sprint(i))
	}
	f := File{SizeBytes: int64(len(text)), CRC64: lines.Sum(0, text)}
	disk := newDisk(t)
	try := func(what string, damaged []byte) (wrong *CorruptError) {
		if _, _, err := readBase(t, disk, damaged, f); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", what, err)
		}
		return wrong
	}
	for n := range text {
		try(fmt.Sprint("cut at ", n), text[:n])
		for bit := range 8 {
			damaged := bytes.Clone(text)
			damaged[n] ^= 1 << bit
			try(fmt.Sprint("bit ", bit, " of ", n), damaged)
		}
	}
	try("longer", append(bytes.Clone(text), text...))
	second := bytes.Index(text, []byte("k1"))
	if wrong := try("cut in a command", text[:second]); !errors.Is(wrong, io.ErrUnexpectedEOF) ||
		wrong.Offset != int64(bytes.LastIndexByte(text[:second], '*')) {
		t.Errorf("cut in the command of %d: %+v", second, wrong)
	}
	if _, _, err := readBase(t, disk, text, f); err != nil {
		t.Error(err)
	}
}

// FuzzReadBase reads anything as a BASE of commands: what is given on is whole commands, and all of the file unless an
// error says what is wrong with it.
func FuzzReadBase(f *testing.F) {
	text := resp.AppendCommandStrings(nil, "SET", "a", "b")
	text = resp.AppendCommandStrings(text, "SELECT", "7")
	f.Add(resp.AppendCommandStrings(text, "DEL", "a"), true)
	f.Add([]byte("*2\r\n$6\r\nSELECT\r\n$2\r\n-1\r\n*1\r\n$4\r\nPING"), true)
	f.Add([]byte("*1\r\n$999999999\r\nx"), false)
	f.Fuzz(func(t *testing.T, data []byte, rightSum bool) {
		disk := vfstest.NewMem()
		file, err := disk.Create("base", 0o644)
		must(t, err)
		_, err = file.Write(data)
		must(t, err)
		must(t, file.Close())
		want := File{SizeBytes: int64(len(data))}
		if rightSum {
			want.CRC64 = lines.Sum(0, data)
		}
		read := int64(0)
		err = ReadBase(disk, "base", &want, func(records []byte, n int64) error {
			if records = records[len(records)-int(n):]; !bytes.Equal(records, data[read:read+n]) {
				t.Fatalf("from %d on it gives on %q", read, records)
			}
			read += n
			return log.ForEachIn(records, func([][]byte) error { return nil })
		})
		var wrong *CorruptError
		switch {
		case err == nil && read != int64(len(data)):
			t.Fatalf("%d of %d bytes are given on", read, len(data))
		case err != nil && (!errors.As(err, &wrong) || wrong.Offset > int64(len(data))):
			t.Fatal(err)
		}
	})
}
