package snapshot

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"fulmen/internal/clock"
	"fulmen/persist/lines"
	"fulmen/persist/log"
	"fulmen/persist/vfs/vfstest"
)

// commandOptions are those of a save of commands to the files 0, 1, …
func commandOptions(disk *vfstest.Mem, shards int, commit func(segments []Segment)) SegmentOptions {
	o := SegmentOptions{FS: disk, Dir: "/d", Commands: true, LZ4: true, Commit: func(_ *Cut, segments []Segment) error {
		commit(segments)
		return nil
	}}
	for i := range shards {
		o.Names = append(o.Names, fmt.Sprint("/d/", i))
	}
	return o
}

// plainly is comparable without the encoding, which commands don't bring along.
func plainly(t testing.TB, entry string) string {
	expiry, rest, _ := strings.Cut(written(t, entry, &elements{plain: true}), " ")
	_, rest, _ = strings.Cut(rest, " ")
	return expiry + " " + rest
}

// sayable is what becomes of a stream's count of entries that commands can't say.
var sayable = strings.NewReplacer("Added:9223372036854775808", "Added:9223372036854775807")

// TestCommandsAreWhatWasSaved: random values of all types, saved as commands, are the same data when those are executed
// in the order of any shard's file.
func TestCommandsAreWhatWasSaved(t *testing.T) {
	const shards = 3
	from := newWorld(t, shards, 100, 7)
	for range 3000 {
		from.step()
	}
	for range 1000 {
		from.grow()
	}
	for _, key := range []string{"back", "back and empty"} { // of streams whose last ID is below one that was deleted
		from.do(0, "XADD", key, "3", "f", "v")
		from.do(0, "XADD", key, "10", "f", "v")
		from.do(0, "XDEL", key, "10")
		from.do(0, "XSETID", key, "5")
	}
	from.do(0, "XDEL", "back and empty", "3")
	from.do(0, "XADD", "counted", "3", "f", "v")
	from.do(0, "XSETID", "counted", "3", "ENTRIESADDED", "9223372036854775807", "MAXDELETEDID", "0-1")
	from.do(0, "XADD", "counted", "4", "f", "v") // more than a command can say
	disk := newDisk(t)
	var segments []Segment
	v, want := from.cut(NewSegmentSink(commandOptions(disk, shards, func(s []Segment) { segments = s })))
	from.held(func() { must(t, v.RunHeld().Err) })
	into := newWorld(t, 2, 0, 1)
	into.now = clock.NewFake(1) // as where a log is executed: nothing expires
	most := 0
	for i, segment := range segments {
		text, err := disk.ReadFile(fmt.Sprint("/d/", i))
		must(t, err)
		if segment.SizeBytes != int64(len(text)) || segment.CRC64 != lines.Sum(0, text) {
			t.Errorf("file %d has %d bytes: %+v", i, len(text), segment)
		}
		db := 0
		must(t, log.ForEachIn(text, func(args [][]byte) error {
			words := make([]string, len(args))
			for j, arg := range args {
				words[j] = string(arg)
			}
			most = max(most, len(args))
			if words[0] == "SELECT" {
				var err error
				db, err = strconv.Atoi(words[1])
				return err
			}
			into.do(db, words...)
			return nil
		}))
		if db != 0 {
			t.Errorf("file %d ends in database %d", i, db)
		}
	}
	if want := 2*itemsACommand + 2; most != want {
		t.Errorf("the longest command has %d arguments, want %d", most, want)
	}
	got := into.shadow()
	for db := range want {
		if len(got[db]) != len(want[db]) || len(want[db]) == 0 {
			t.Errorf("database %d has %d keys, want %d", db, len(got[db]), len(want[db]))
		}
		for key, entry := range want[db] {
			if have := got[db][key]; have == "" {
				t.Errorf("database %d: %s is missing", db, key)
			} else if have, want := plainly(t, have), sayable.Replace(plainly(t, entry)); have != want {
				t.Errorf("database %d: %s:\n%.2000s\nwant\n%.2000s", db, key, have, want)
			}
		}
	}
}

// TestCommandsOnFullDisk: what fails behind the encoder ends the save, and whatever was written is gone; nobody waits
// for the other end of a pipe.
func TestCommandsOnFullDisk(t *testing.T) {
	for _, failing := range []string{"write", "sync", ""} {
		w := newWorld(t, 3, 0, 1)
		for i := range 2000 {
			w.do(0, "SET", fmt.Sprint("key", i), strings.Repeat("v", 100))
		}
		disk := newDisk(t)
		tap := vfstest.NewTap(disk, func(s vfstest.Step) error {
			if s.Op == failing {
				return syscall.ENOSPC
			}
			return nil
		})
		o := commandOptions(disk, 3, func([]Segment) { t.Error("it is committed") })
		o.FS = tap
		v, _ := w.cut(NewSegmentSink(o))
		if failing == "" {
			v.Cancel()
		}
		w.held(func() {
			if r := v.RunHeld(); failing != "" && !errors.Is(r.Err, syscall.ENOSPC) || r.Err == nil {
				t.Errorf("%s: %v", failing, r.Err)
			}
		})
		if left := dirNames(t, disk); left != "" {
			t.Errorf("%s: left %s", failing, left)
		}
	}
}
