package server_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// TestChangesEqualRedis compares what counts as a change, by which save points and people decide whether to save.
func TestChangesEqualRedis(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := append(redistest.Everything(), redistest.Changes()...)
			redistest.Diff(t, redistest.Redis(), fulmen(shards, "--save", ""), grammar)
		})
	}
}

// TestSaveRepliesEqualRedis compares what both reply to commands that save, rightly and wrongly put.
func TestSaveRepliesEqualRedis(t *testing.T) {
	b := dialBoth(t)
	for _, args := range [][]string{
		{"SAVE", "x"}, {"SAVE"}, {"BGSAVE", "x"}, {"BGSAVE", "SCHEDULE", "x"}, {"BGSAVE", "schedule\x00x"},
		{"LASTSAVE", "x"}, {"MULTI"}, {"SAVE"}, {"EXEC"}, {"MULTI"}, {"BGSAVE"}, {"SET", "a", "1"}, {"EXEC"},
		{"MULTI"}, {"BGSAVE", "x"}, {"LASTSAVE", "x"}, {"EXEC"}, {"MULTI"}, {"SHUTDOWN"}, {"DISCARD"},
		{"SHUTDOWN", "x"}, {"SHUTDOWN", "SAVE", "NOSAVE"}, {"SHUTDOWN", "NOSAVE", "SAVE", "NOW"},
		{"SHUTDOWN", "ABORT"}, {"SHUTDOWN", "ABORT", "NOW"}, {"SHUTDOWN", "ABORT", "ABORT"}, {"SHUTDOWN", "SAVE", "x"},
		{"DEBUG", "RELOAD", "x"}, {"DEBUG", "RELOAD", "NOSAVE", "x"}, {"DEBUG", "RELOAD"}, {"GET", "a"},
		{"DEBUG", "RELOAD", "NOSAVE", "NOFLUSH", "MERGE"}, {"DEBUG", "DIGEST"}, {"SET", "b", "1"},
		{"DEBUG", "RELOAD", "NOSAVE"}, {"DEBUG", "DIGEST"}, {"MULTI"}, {"SET", "c", "1"}, {"DEBUG", "RELOAD"},
		{"GET", "c"}, {"EXEC"}, {"WATCH", "c"}, {"DEBUG", "RELOAD"}, {"MULTI"}, {"GET", "c"}, {"EXEC"},
		{"COMMAND", "GETKEYS", "SAVE"},
	} {
		right, ours := b.do(args...)
		if string(right.Append(nil)) != string(ours.Append(nil)) {
			t.Fatalf("%q: got %q, want %q", args, ours.Append(nil), right.Append(nil))
		}
		// A save in the background that is late would put its file, of before, in the place of DEBUG RELOAD's, and the
		// next one could not begin.
		if strings.Contains(string(right.Append(nil)), "Background saving") {
			awaitSaved(t, b)
		}
	}
	for _, field := range []string{"rdb_changes_since_last_save", "rdb_last_bgsave_status", "rdb_last_load_keys_loaded",
		"rdb_last_load_keys_expired", "loading", "async_loading"} {
		right, ours := b.do("INFO", "persistence")
		if want, got := fieldOf(string(right.Str), field), fieldOf(string(ours.Str), field); got != want {
			t.Errorf("%s:%s, want %s", field, got, want)
		}
	}
}

// awaitSaved waits until both have saved all changes and are done with it. A scheduled save begins some time later.
func awaitSaved(t *testing.T, b *both) {
	t.Helper()
	saved := func(v resp.Value) bool {
		info := string(v.Str)
		return fieldOf(info, "rdb_changes_since_last_save") == "0" && fieldOf(info, "rdb_bgsave_in_progress") == "0"
	}
	for until := time.Now().Add(patience); ; {
		if right, ours := b.do("INFO", "persistence"); saved(right) && saved(ours) {
			return
		}
		if time.Now().After(until) {
			t.Fatal("the save in the background does not end")
		}
	}
}

// fieldOf gives the value of a field of INFO.
func fieldOf(text, name string) string {
	for line := range strings.SplitSeq(text, "\r\n") {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return value
		}
	}
	return ""
}
