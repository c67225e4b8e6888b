// Command fulmen-check verifies, repairs, shows and converts snapshots and append-only files, analyses the former and
// truncates the latter, without a server:
// fulmen-check COMMAND [option …] FILE …
package main

import (
	"io"
	"os"

	"fulmen/internal/check"
	"fulmen/internal/clock"
	"fulmen/internal/server"
	"fulmen/persist/vfs"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run runs the command with its arguments and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	return check.Main(args, check.Env{
		Files: vfs.OS{}, Stdout: stdout, Stderr: stderr, Clock: clock.New(), Version: server.Version,
	})
}
