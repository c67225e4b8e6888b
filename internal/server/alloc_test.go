package server

import (
	"fmt"
	"log/slog"
	"testing"

	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/vfs"
	"fulmen/reactor"
)

// newIdle makes a server without sockets and a session on its first loop, for tests of the path between bytes in
// and bytes out.
func newIdle(t testing.TB, args ...string) (*loop, *Session) {
	t.Helper()
	cfg, err := config.Load(args, config.Env{Version: Version, Cwd: t.TempDir(), CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := New(Options{Config: cfg, Files: vfs.OS{}, Log: NewLogger(t.Output(), &slog.LevelVar{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.space.Close(); err != nil {
			t.Error(err)
		}
	})
	l := srv.loops[0]
	s := &Session{srv: srv, loop: l, conn: &reactor.Conn{}, proto: 2}
	s.setAuthed(true)
	return l, s
}

// execute runs a pipeline and returns the replies, valid until the next call.
func execute(t testing.TB, l *loop, s *Session, pipeline []byte) []byte {
	l.begin(s)
	for at := 0; at < len(pipeline); {
		n, err := l.parse(s, pipeline[at:])
		if err != nil || n == 0 {
			t.Fatal("parse:", n, err)
		}
		if done := l.run(s, n); done != n {
			t.Fatal("run stopped at", done, "of", n)
		}
		at += l.batch[n-1].end
	}
	l.calls.Flush(l.shared.add)
	return l.ctx.Out
}

// TestHotPathAllocatesNothing holds parse, execute and reply of the most frequent commands to zero allocations.
func TestHotPathAllocatesNothing(t *testing.T) {
	l, s := newIdle(t)
	var pipeline []byte
	for i := range 64 {
		key := []byte(fmt.Sprintf("key:%012d", i))
		pipeline = resp.AppendCommand(pipeline, []byte("SET"), key, make([]byte, 64))
		pipeline = resp.AppendCommand(pipeline, []byte("GET"), key)
	}
	want := len(execute(t, l, s, pipeline))
	if want < 64*(5+64) {
		t.Fatalf("replies have %d bytes", want)
	}
	n := 1.0
	for try := 0; n > 0 && try < 10; try++ { // what others allocate meanwhile counts, too
		n = testing.AllocsPerRun(50, func() {
			if got := len(execute(t, l, s, pipeline)); got != want {
				t.Fatalf("replies have %d bytes, want %d", got, want)
			}
		})
	}
	if n != 0 && proofShare == 1 { // the race detector allocates itself, and pools forget
		t.Errorf("a pipeline of 128 commands allocates %v times", n)
	}
}

func BenchmarkPipelineSetGet(b *testing.B) {
	l, s := newIdle(b)
	const keys = 1 << 20
	value := make([]byte, 64)
	for lo := 0; lo < keys; lo += 1024 {
		var fill []byte
		for i := range 1024 {
			fill = resp.AppendCommand(fill, []byte("SET"), []byte(fmt.Sprintf("key:%012d", lo+i)), value)
		}
		execute(b, l, s, fill)
	}
	for _, name := range []string{"GET", "SET"} {
		b.Run(name, func(b *testing.B) {
			var pipelines [][]byte
			for p := range 4096 {
				var pipeline []byte
				for i := range 16 {
					key := []byte(fmt.Sprintf("key:%012d", uint32((p*16+i)*2654435761)%keys))
					if name == "GET" {
						pipeline = resp.AppendCommand(pipeline, []byte("GET"), key)
					} else {
						pipeline = resp.AppendCommand(pipeline, []byte("SET"), key, value)
					}
				}
				pipelines = append(pipelines, pipeline)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				execute(b, l, s, pipelines[i%len(pipelines)])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/command")
		})
	}
}
