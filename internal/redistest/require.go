package redistest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// RequireScripts fails the test for every command that has no script below dir, or one without recorded replies to that
// very command, and for every script that belongs to no command. Names are those of the command table, in lower case;
// the script of a subcommand "config|get" is config-get.txt.
func RequireScripts(t testing.TB, dir string, commands []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range scriptFaults(files, commands) {
		t.Error(fault)
	}
}

func scriptFaults(files, commands []string) []error {
	var faults []error
	found := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		i := slices.IndexFunc(commands, func(command string) bool { return scriptName(command) == name })
		if i < 0 {
			faults = append(faults, fmt.Errorf("%s: there is no such command", file))
			continue
		}
		found[commands[i]] = true
		s, err := readScript(file)
		if err != nil {
			faults = append(faults, err)
		} else if !s.covers(commands[i]) {
			faults = append(faults, fmt.Errorf("%s: has no recorded reply to %s", file, commands[i]))
		}
	}
	for _, command := range commands {
		if !found[command] {
			faults = append(faults, fmt.Errorf("%s has no script %s.txt", command, scriptName(command)))
		}
	}
	return faults
}

func scriptName(command string) string { return strings.ReplaceAll(command, "|", "-") }

// covers says whether a script holds the reply to a command.
func (s *script) covers(command string) bool {
	words := strings.Split(command, "|")
	return slices.ContainsFunc(s.steps, func(step scriptStep) bool {
		return len(step.args) >= len(words) && (step.replies != nil || step.noReply) &&
			strings.EqualFold(strings.Join(step.args[:len(words)], "|"), command)
	})
}
