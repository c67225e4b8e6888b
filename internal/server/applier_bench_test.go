package server

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/config"
	"fulmen/internal/resp"
	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
	"fulmen/shard"
)

// BenchmarkReplay executes 2 M SETs of keys of 16 bytes with random values of 64 from the INCR files of eight shards,
// and of one, each a commit of its own, in as many shards and in another number.
func BenchmarkReplay(b *testing.B) {
	b.Run("of 8 shards", func(b *testing.B) { benchmarkReplay(b, 8, 8, 5) })
	b.Run("of 1 shard", func(b *testing.B) { benchmarkReplay(b, 1, 1, 2) })
}

func benchmarkReplay(b *testing.B, written int, into ...int) {
	const commands = 2_000_000
	dir := b.TempDir()
	m := writeSets(b, dir, written, commands)
	for _, shards := range into {
		b.Run(fmt.Sprint("into ", shards), func(b *testing.B) {
			for b.Loop() {
				measureLoad(b, shards, commands, func(srv *Server, z *shard.Seizure, p *aof.LoadProgress) error {
					return aof.Load(&aof.LoadOptions{
						FS: vfs.OS{}, Dir: dir, Name: aofTestName, Manifest: m, Applier: newApplier(srv, z, m.Shards),
					}, p)
				})
			}
		})
	}
}

// BenchmarkForeign executes the same from a file as redis-server writes it, in two shards.
func BenchmarkForeign(b *testing.B) {
	const commands = 2_000_000
	rnd := rand.New(rand.NewPCG(1, 2))
	text := []byte("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n")
	var value [64]byte
	for i := range commands {
		for at := 0; at < len(value); at += 8 {
			binary.LittleEndian.PutUint64(value[at:], rnd.Uint64())
		}
		text = resp.AppendCommand(text, []byte("SET"), fmt.Appendf(nil, "key:%012d", i), value[:])
	}
	name := filepath.Join(b.TempDir(), aofTestName)
	if err := vfs.WriteFileAtomic(vfs.OS{}, name, text, 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		measureLoad(b, 2, commands, func(srv *Server, z *shard.Seizure, p *aof.LoadProgress) error {
			f, err := aof.OpenForeign(vfs.OS{}, name)
			if err != nil {
				return err
			}
			return srv.loadForeign(f, false, z, p)
		})
	}
}

// measureLoad has so many commands loaded into the shards of a server.
func measureLoad(b *testing.B, shards int, commands int64,
	load func(srv *Server, z *shard.Seizure, p *aof.LoadProgress) error,
) {
	b.Helper()
	srv := newIdleServer(b, shards)
	z := srv.set.Seize()
	var p aof.LoadProgress
	began, beganCPU := time.Now(), cpuTime(b)
	if err := load(srv, z, &p); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(cpuTime(b)-beganCPU)/float64(commands), "cpu-ns/command")
	b.ReportMetric(float64(commands)/1e6/time.Since(began).Seconds(), "Mcommands/s")
	if p.Commands.Load() != commands {
		b.Fatalf("%d commands", p.Commands.Load())
	}
	z.Release(&shard.Worker{})
	if err := srv.space.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRecover finds out how the same files end if nobody has noted it.
func BenchmarkRecover(b *testing.B) {
	const commands = 2_000_000
	dir := b.TempDir()
	m := writeSets(b, dir, 8, commands)
	m.Incarnations[0] = aof.Incarnation{Number: 1}
	for b.Loop() {
		if err := m.Commit(vfs.OS{}, dir, aofTestName); err != nil {
			b.Fatal(err)
		}
		began, beganCPU := time.Now(), cpuTime(b)
		r, err := aof.Recover(&aof.RecoverOptions{
			FS: vfs.OS{}, Dir: dir, Name: aofTestName,
		})
		if err != nil || r.EndLSN == 0 || len(r.Cuts) > 0 {
			b.Fatal(r, err)
		}
		b.ReportMetric(float64(cpuTime(b)-beganCPU)/commands, "cpu-ns/command")
		b.ReportMetric(commands/1e6/time.Since(began).Seconds(), "Mcommands/s")
	}
}

// cpuTime is the processor time that the process has used.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const aofTestName = "appendonly.aof"

// writeSets writes the files of a life that has ended well.
func writeSets(t testing.TB, dir string, shards, commands int) *aof.Manifest {
	t.Helper()
	srv := newIdleServer(t, shards)
	l := log.New(shards, log.Limits{})
	l.SetIncarnation(1)
	hold := l.Resume()
	m := &aof.Manifest{
		DirID: 1, Databases: 16, Shards: shards, ReplID: strings.Repeat("a", 40),
		Incarnations: []aof.Incarnation{{Number: 1}},
	}
	w := aof.Open(aof.Options{
		FS: vfs.OS{}, Dir: dir, Name: aofTestName, Log: l, DirID: 1, Incarnation: 1, Policy: aof.No, Clock: clock.New(),
	})
	if err := w.Prepare(1); err != nil {
		t.Fatal(err)
	}
	m.Add(aof.IncrFiles(shards, 1, 1, 0, 1)...)
	if err := w.Start(hold); err != nil {
		t.Fatal(err)
	}
	hold.Close()
	rnd := rand.New(rand.NewPCG(1, 2))
	var value [64]byte
	for i := range commands {
		key := fmt.Appendf(nil, "key:%012d", i)
		for at := 0; at < len(value); at += 8 {
			binary.LittleEndian.PutUint64(value[at:], rnd.Uint64())
		}
		s := l.Shard(srv.set.ShardOf(key))
		s.Stage(0, []byte("SET"), key, value[:])
		s.Commit(false)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	m.End(l.LSN())
	if err := m.Commit(vfs.OS{}, dir, aofTestName); err != nil {
		t.Fatal(err)
	}
	if err := srv.space.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

// newIdleServer makes a server that doesn't run.
func newIdleServer(t testing.TB, shards int, args ...string) *Server {
	t.Helper()
	args = append([]string{"--shards", fmt.Sprint(shards)}, args...)
	cfg, err := config.Load(args, config.Env{Version: Version, Cwd: t.TempDir(), CPUs: 2, Files: vfs.OS{}})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := New(Options{Config: cfg, Files: vfs.OS{}, Log: NewLogger(t.Output(), &slog.LevelVar{})})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}
