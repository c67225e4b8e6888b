package main

import (
	"bytes"
	"testing"

	"fulmen/internal/server"
)

// TestVersion: the command tells the server's version.
func TestVersion(t *testing.T) {
	var out bytes.Buffer
	want := "fulmen-check " + server.Version + "\n"
	if code := run([]string{"--version"}, &out, &out); code != 0 || out.String() != want {
		t.Errorf("exit code %d, %q", code, out.String())
	}
}
