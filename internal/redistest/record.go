package redistest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// recordScripts writes the replies of a real server into the scripts. A recorded reply that still holds stays as it is,
// so that what may differ does not change the file each time.
func recordScripts(t *testing.T, files []string, addr string) {
	oracle, err := oracleAt(addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if err := recordFile(file, addr, oracle); err != nil {
			t.Error(err)
		}
	}
}

func recordFile(file, addr, oracle string) error {
	s, err := readScript(file)
	if err != nil {
		return err
	}
	if s.oracle != "" && !sameOracle(s.oracle, oracle) {
		return nil
	}
	before := s.String()
	for _, proto := range protocols {
		err := s.play(addr, proto, func(step *scriptStep, got reply) {
			if old, ok := step.replies[proto]; ok && step.tol.equal(old, got) {
				return
			}
			if step.replies == nil {
				step.replies = map[int]reply{}
			}
			if two, ok := step.replies[2]; ok && step.tol.equal(two, got) {
				got = two // one text for both protocols, where they differ only in what may differ
			}
			step.replies[proto] = got
		})
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if s.oracle == "" || s.String() != before {
		s.setOracle(oracle)
	}
	if s.String() == before {
		return nil
	}
	return os.WriteFile(file, []byte(s.String()), 0o644)
}

// oracleAt gives the name and version of a real server, "redis 7.0.15" or "valkey 9.1.2". This server is none.
func oracleAt(addr string) (oracle string, err error) {
	conn, err := Dial(addr)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	v, err := conn.Do("INFO", "server")
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		return "", err
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(v.Str)) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		fields[name] = value
	}
	switch {
	case fields["fulmen_version"] != "":
		return "", fmt.Errorf("redistest: %s is no real server, replies are not recorded from it", addr)
	case fields["valkey_version"] != "":
		return "valkey " + fields["valkey_version"], nil
	case fields["redis_version"] != "":
		return "redis " + fields["redis_version"], nil
	}
	return "", fmt.Errorf("redistest: %s does not say what it is", addr)
}

// sameOracle says whether two oracles have the same name and the same major and minor version.
func sameOracle(a, b string) bool {
	series := func(oracle string) []string {
		parts := strings.Split(oracle, ".")
		return parts[:min(2, len(parts))]
	}
	return slices.Equal(series(a), series(b))
}
