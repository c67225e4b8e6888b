package server_test

import "testing"

// TestModuleCommand compares MODULE with Redis's where it is allowed: nothing that isn't there is loaded or unloaded.
func TestModuleCommand(t *testing.T) {
	b := dialBoth(t, "--enable-module-command", "local")
	for _, args := range [][]string{
		{"CONFIG", "GET", "enable-module-command"},
		{"MODULE", "LOAD", "/nowhere/x.so"}, {"MODULE", "LOAD", "", "a", "b"}, {"module", "loadex", "/nowhere/x.so"},
		{"MODULE", "LOADEX", "/nowhere/x.so", "CONFIG", "x.a", "b", "ARGS", "c"},
		{"MODULE", "LOADEX", "/nowhere/x.so", "CONFIG", "x.a"}, {"MODULE", "LOADEX", "/nowhere/x.so", "WHAT"},
		{"MODULE", "UNLOAD", "x"}, {"MODULE", "UNLOAD", ""}, {"MODULE", "LIST"},
		{"EVAL", "return redis.call('MODULE', 'UNLOAD', 'x')", "0"},
		{"MULTI"}, {"MODULE", "UNLOAD", "x"}, {"MODULE", "LOAD", "/nowhere/x.so"}, {"EXEC"},
	} {
		right, ours := b.do(args...)
		if got, want := ours.String(), right.String(); got != want {
			t.Errorf("%q: got %s, want %s", args, got, want)
		}
	}
}
