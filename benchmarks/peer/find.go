package peer

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Names of the servers that the scenarios treat in a way of their own.
const (
	Fulmen = "fulmen"
	Floor  = "floor"
	Redis  = "redis"
)

// Known lists every server worth comparing, Fulmen and its floor first, the reference next, whether it is installed
// or not. The programs of Fulmen are looked for in binDir, the others on PATH. Persistence is off in each.
func Known(binDir string) []Spec {
	specs := []Spec{
		{Name: Fulmen, Args: []string{
			binDir + "/fulmen-server", "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}",
			"--http-port", "{http}", "--save", "",
		}},
		{Name: Floor, Args: []string{binDir + "/fulmen-floor", "--port", "{port}"}, Floor: true},
	}
	for _, name := range []string{Redis, "valkey", "keydb"} {
		specs = append(specs, Spec{Name: name, Args: []string{
			name + "-server", "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{dir}",
			"--save", "", "--appendonly", "no", "--daemonize", "no",
		}})
	}
	return specs
}

// Installed says whether the server's program is there.
func (s Spec) Installed() bool {
	if len(s.Args) == 0 {
		return false
	}
	_, err := exec.LookPath(s.Args[0])
	return err == nil
}

// Program is the name of the server's program.
func (s Spec) Program() string {
	return s.Args[0][strings.LastIndexByte(s.Args[0], '/')+1:]
}

// ParseSpec reads "name=command line" as given by a user: words at spaces, a word in single quotes as it is (” is
// an empty one).
func ParseSpec(text string) (Spec, error) {
	name, line, found := strings.Cut(text, "=")
	if !found || name == "" {
		return Spec{}, fmt.Errorf("peer: %q is not name=command", text)
	}
	spec := Spec{Name: name, Floor: name == Floor}
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] == '\'' {
			word, rest, closed := strings.Cut(line[1:], "'")
			if !closed {
				return Spec{}, fmt.Errorf("peer: unclosed quote in %q", text)
			}
			spec.Args = append(spec.Args, word)
			line = rest
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		spec.Args = append(spec.Args, word)
		line = rest
	}
	if len(spec.Args) == 0 {
		return Spec{}, fmt.Errorf("peer: no command in %q", text)
	}
	return spec, nil
}

// Version asks a program what it is: the first line of its answer to --version, or its name alone. It is for
// servers and tools that answer and exit, which Fulmen's servers are not asked to do.
func Version(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "--version").CombinedOutput()
	if err != nil {
		return program
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// Version is what the running server says it is, from INFO.
func (s *Server) Version() string {
	info := s.Info("server")
	for _, name := range []string{"fulmen_version", "valkey_version", "redis_version"} {
		if version := info[name]; version != "" {
			return version
		}
	}
	return ""
}
