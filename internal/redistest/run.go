package redistest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The flags of every test binary that imports this package.
var (
	flagRedis    = flag.String("redis", "", "address of a real server to play the scripts to, or to record them from")
	flagRewrite  = flag.Bool("rewrite", false, "record the scripts' replies from a real server")
	flagCommands = flag.Int("commands", 20_000, "length of a random stream")
	flagSeed     = flag.Uint64("seed", 1, "seed of random streams; 0 draws one")
)

// RunScripts plays every script below dir, in RESP2 and in RESP3, to each of the servers, and compares the replies with
// the recorded ones. A server is started once and emptied before each script. With -redis the real server is played to
// instead; with -rewrite the replies are recorded from it.
func RunScripts(t *testing.T, dir string, servers ...Server) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts below %s (%v)", dir, err)
	}
	oracle := Redis()
	if *flagRedis != "" {
		oracle = Server{Name: "redis", Start: func(testing.TB) string { return *flagRedis }}
	}
	if *flagRewrite {
		recordScripts(t, files, oracle.Start(t))
		return
	}
	if *flagRedis != "" {
		servers = []Server{oracle}
	}
	for _, server := range servers {
		t.Run(server.Name, func(t *testing.T) { replayScripts(t, dir, files, server) })
	}
}

func replayScripts(t *testing.T, dir string, files []string, server Server) {
	addr := server.Start(t)
	for _, proto := range protocols {
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimPrefix(file, filepath.Clean(dir)+"/"), ".txt")
			t.Run(fmt.Sprintf("RESP%d/%s", proto, name), func(t *testing.T) {
				s, err := readScript(file)
				if err != nil {
					t.Fatal(err)
				}
				if *flagRedis != "" {
					skipOtherOracle(t, s, addr)
				}
				for _, fault := range s.replay(file, addr, proto, server.Tiny) {
					t.Error(fault)
				}
			})
		}
	}
}

// skipOtherOracle skips the test if a script's replies are those of another real server.
func skipOtherOracle(t *testing.T, s *script, addr string) {
	oracle, err := oracleAt(addr)
	if err != nil {
		t.Fatal(err)
	}
	if s.oracle != "" && !sameOracle(s.oracle, oracle) {
		t.Skipf("recorded from %s, this is %s", s.oracle, oracle)
	}
}

// replay plays a script and gives what differs from the recorded replies, but for those that depend on the sizes at
// which encodings change if these are tiny.
func (s *script) replay(file, addr string, proto int, tiny bool) []error {
	var faults []error
	err := s.play(addr, proto, func(step *scriptStep, got reply) {
		want, ok := step.replies[proto]
		if tiny && step.limits {
			return
		}
		if !ok {
			faults = append(faults, fmt.Errorf("%s:%d: %s\nno reply is recorded", file, step.number, step.line))
		} else if !step.tol.equal(want, got) {
			faults = append(faults,
				fmt.Errorf("%s:%d: %s\ngot:\n%v\nwant:\n%v", file, step.number, step.line, got, want))
		}
	})
	if err != nil {
		faults = append(faults, fmt.Errorf("%s: %w", file, err))
	}
	return faults
}

func readScript(file string) (*script, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, err := parseScript(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// play empties a server, sends it the commands in order over fresh connections and hands each reply to check. The error
// is that of a connection.
func (s *script) play(addr string, proto int, check func(step *scriptStep, got reply)) (err error) {
	conns := map[int]*Conn{}
	defer func() {
		for _, conn := range conns { // the next script is to find nothing of them
			err = errors.Join(err, conn.End())
		}
	}()
	for i := range s.steps {
		step := &s.steps[i]
		conn := conns[step.conn]
		if conn == nil {
			if conn, err = dialProto(addr, proto); err != nil {
				return err
			}
			conns[step.conn] = conn
		}
		if i == 0 {
			if _, err := conn.Do("FLUSHALL"); err != nil {
				return err
			}
		}
		if len(step.args) > 0 {
			conn.Queue(step.args...)
			if err := conn.Flush(); err != nil {
				return fmt.Errorf("line %d: %w", step.number, err)
			}
		}
		if step.noReply {
			conn.sent = conn.sent[:len(conn.sent)-1]
			continue
		}
		got, err := conn.receive()
		if err != nil {
			return fmt.Errorf("line %d: %w", step.number, err)
		}
		check(step, got)
	}
	return nil
}

func dialProto(addr string, proto int) (*Conn, error) {
	conn, err := Dial(addr)
	if err != nil || proto == 2 {
		return conn, err
	}
	v, err := conn.Do("HELLO", fmt.Sprint(proto))
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}
