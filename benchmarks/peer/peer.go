// Package peer starts the servers that a benchmark compares, asks them what they know about themselves, and stops them.
//
// It does not judge: which servers are compared, and under which load, is the scenarios' business.
//
// # Ownership
//
// A Server belongs to the goroutine that started it. Its process is this process's child, dies with it
// (parent-death signal), and is signalled by nothing but its own pid. Its data directory is temporary and removed
// by Stop.
//
// # Invariants
//
//  1. A Server returned by Start has answered a PING; a server that does not within its time is an error with its
//     last output.
//  2. Every question has a deadline.
//  3. No server saves by itself, and only one whose Spec says so keeps an append-only file: that is off by its command
//     line, and asked for again by CONFIG SET.
package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fulmen/benchmarks/proc"
)

const (
	startTime  = 60 * time.Second // for a server to answer its first PING
	stopTime   = 60 * time.Second // for a server to exit after SIGTERM, before SIGKILL
	answerTime = 60 * time.Second // for any single answer (a FLUSHALL of 10 M keys is one)
)

// Spec says how to start a server.
type Spec struct {
	Name string
	// Args is the command line, program first. {port}, {http} and {dir} become a free port, another one, and a
	// temporary directory.
	Args []string
	// Floor marks the server without a keyspace: it answers, but knows nothing of itself, and needs no keys.
	Floor bool
	// Logs has the server keep the append-only file that Args ask for.
	Logs bool
}

// With is the same server with more arguments, under another name.
func (s Spec) With(name string, args ...string) Spec {
	s.Name = name
	s.Args = append(slices.Clone(s.Args), args...)
	return s
}

// String is the command line as one would type it.
func (s Spec) String() string {
	words := slices.Clone(s.Args)
	for i, word := range words {
		if word == "" || strings.ContainsAny(word, " \t'\"") {
			words[i] = "'" + word + "'"
		}
	}
	return strings.Join(words, " ")
}

// Server is a running server.
type Server struct {
	Spec Spec
	Addr string // host:port of its clients' port
	HTTP string // host:port of its monitoring port, for those that have one
	PID  int

	args    []string // of the command line, filled in
	cpus    []int
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	waitErr error         // how it ended; to be read after exited
	output  *tail
	dir     string
	ports   [2]heldPort // of its clients, and for monitoring
	control *Conn
}

// Start starts a server on the given cores (none: any) and waits until it answers.
func Start(ctx context.Context, spec Spec, cpus []int) (*Server, error) {
	s := &Server{Spec: spec, output: &tail{}, cpus: cpus}
	var err error
	for i := range s.ports {
		if s.ports[i], err = holdPort(); err != nil {
			s.remove()
			return nil, err
		}
	}
	if s.dir, err = os.MkdirTemp("", "fulmen-bench-"); err != nil {
		s.remove()
		return nil, fmt.Errorf("peer: %w", err)
	}
	port, http := s.ports[0].number, s.ports[1].number
	s.Addr, s.HTTP = "127.0.0.1:"+port, "127.0.0.1:"+http
	fill := strings.NewReplacer("{port}", port, "{http}", http, "{dir}", s.dir)
	for _, arg := range spec.Args {
		s.args = append(s.args, fill.Replace(arg))
	}
	return s, s.launch(ctx)
}

// remove gives up what the server had beside its process.
func (s *Server) remove() {
	os.RemoveAll(s.dir)
	for i := range s.ports {
		s.ports[i].release()
	}
}

// launch starts the server's process and waits until it answers; one that doesn't is stopped.
func (s *Server) launch(ctx context.Context) error {
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := proc.OnCPUs(s.cpus, s.cmd.Start); err != nil {
		s.remove()
		return fmt.Errorf("peer: start %s (%s): %w", s.Spec.Name, s.Spec, err)
	}
	s.PID = s.cmd.Process.Pid
	exited, cmd := make(chan struct{}), s.cmd
	s.exited = exited
	go func() {
		s.waitErr = cmd.Wait()
		close(exited)
	}()
	if err := s.awaitReady(ctx); err != nil {
		s.Stop()
		line := strings.Join(s.args, " ")
		return fmt.Errorf("peer: %s (%s) does not start: %w\n%s", s.Spec.Name, line, err, s.output)
	}
	s.persistenceOff()
	return nil
}

// Restart ends the server with SIGTERM and starts it again on the given cores, at the same port and in the same
// directory. It returns how long it took from the start of the process until the server answered a PING, having loaded
// what was there.
func (s *Server) Restart(ctx context.Context, cpus []int) (ready time.Duration, err error) {
	if err := s.end(); err != nil {
		return 0, err
	}
	s.cpus = cpus
	started := time.Now()
	if err := s.launch(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// Kill ends the server with SIGKILL, as a crash does, and starts it again as Restart does.
func (s *Server) Kill(ctx context.Context) (ready time.Duration, err error) {
	if s.control != nil {
		s.control.Close()
		s.control = nil
	}
	if err := s.cmd.Process.Kill(); err != nil {
		return 0, s.explain(err)
	}
	<-s.exited
	started := time.Now()
	if err := s.launch(ctx); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := Dial(ctx, s.Addr)
		if err == nil {
			// A server that is loading answers with an error: it is not ready.
			if _, err = conn.Do("PING"); err == nil {
				s.control = conn
				return nil
			}
			conn.Close()
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended: %v", s.waitErr)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("no answer to PING within %v", startTime), err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// persistenceOff asks for what the command line should have done already. A server that does not know these
// parameters has no persistence.
func (s *Server) persistenceOff() {
	if s.Spec.Floor {
		return
	}
	_, _ = s.Do("CONFIG", "SET", "save", "")
	if !s.Spec.Logs {
		_, _ = s.Do("CONFIG", "SET", "appendonly", "no")
	}
}

// Stop ends the server: SIGTERM, and SIGKILL if it takes too long. It says whether the server ended by itself or
// had to be killed.
func (s *Server) Stop() error {
	defer s.remove()
	return s.end()
}

// end is Stop without an end to the directory.
func (s *Server) end() error {
	if s.control != nil {
		s.control.Close()
		s.control = nil
	}
	select {
	case <-s.exited:
		return fmt.Errorf("peer: %s ended by itself: %v\n%s", s.Spec.Name, s.waitErr, s.output)
	default:
	}
	for range stopTime / time.Second {
		_ = s.cmd.Process.Signal(syscall.SIGTERM) // It may have ended this very moment.
		select {
		case <-s.exited:
			return nil
		case <-time.After(time.Second): // redis-server forgets it while it writes its first append-only file
		}
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	return fmt.Errorf("peer: %s did not stop within %v and was killed", s.Spec.Name, stopTime)
}

// Do asks the server over its control connection, which is opened anew after a failure.
func (s *Server) Do(args ...string) (Reply, error) {
	if s.control == nil {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		conn, err := Dial(ctx, s.Addr)
		if err != nil {
			return Reply{}, s.explain(err)
		}
		s.control = conn
	}
	reply, err := s.control.Do(args...)
	var refused *ServerError
	if err != nil && !errors.As(err, &refused) {
		s.control.Close()
		s.control = nil
		return reply, s.explain(err)
	}
	return reply, err
}

// explain adds what is known if the server has died.
func (s *Server) explain(err error) error {
	select {
	case <-s.exited:
		return fmt.Errorf("peer: %s has ended (%v): %w\n%s", s.Spec.Name, s.waitErr, err, s.output)
	default:
		return fmt.Errorf("peer: %s: %w", s.Spec.Name, err)
	}
}

// CPU is the processor time that the server has used so far.
func (s *Server) CPU() (proc.CPU, error) {
	cpu, err := proc.ReadCPU(s.PID)
	if err != nil {
		return cpu, s.explain(err)
	}
	return cpu, nil
}

// RSSBytes is the server's resident memory.
func (s *Server) RSSBytes() (int64, error) {
	rss, err := proc.ReadRSSBytes(s.PID)
	if err != nil {
		return 0, s.explain(err)
	}
	return rss, nil
}

// Info is the server's INFO as a map; nil from a server that has none.
func (s *Server) Info(sections ...string) map[string]string {
	if s.Spec.Floor {
		return nil
	}
	reply, err := s.Do(append([]string{"INFO"}, sections...)...)
	if err != nil {
		return nil
	}
	return ParseInfo(reply.Text)
}

// Processed is the number of commands the server says it has executed; false if it does not say.
func (s *Server) Processed() (uint64, bool) {
	n, err := strconv.ParseUint(s.Info("stats")["total_commands_processed"], 10, 64)
	return n, err == nil
}

// KeyCount is the number of keys in database 0.
func (s *Server) KeyCount() (int64, error) {
	reply, err := s.Do("DBSIZE")
	return reply.Int, err
}

// ExpectKeys is an error that begins with when unless database 0 has so many keys.
func (s *Server) ExpectKeys(want int64, when string) error {
	n, err := s.KeyCount()
	if err == nil && n != want {
		err = fmt.Errorf("%s there are %d keys, not %d", when, n, want)
	}
	return err
}

// ParseInfo splits the text of an INFO reply.
func ParseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found && !strings.HasPrefix(name, "#") {
			info[name] = value
		}
	}
	return info
}
