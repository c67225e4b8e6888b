// Command fulmen-check verifies, repairs, shows, converts and analyses snapshots without a server:
// fulmen-check COMMAND [option …] FILE …
package main

import (
	"os"

	"fulmen/internal/check"
	"fulmen/internal/clock"
	"fulmen/persist/vfs"
)

func main() {
	os.Exit(check.Main(os.Args[1:], check.Env{
		Files: vfs.OS{}, Stdout: os.Stdout, Stderr: os.Stderr, Clock: clock.New(),
	}))
}
