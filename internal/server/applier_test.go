package server

import (
	"errors"
	"strings"
	"testing"

	"fulmen/internal/invariant"
	"fulmen/persist/aof"
	"fulmen/persist/log"
	"fulmen/persist/vfs"
)

// load writes what was recorded to the files of an AOF and loads them into another server.
func (r *recording) load(q *proof) error {
	dir := q.t.TempDir()
	m := writeFrames(q.t, dir, r.frames, r.hold.LSN(), r.p.srv.set.Log.LSN())
	var err error
	var p aof.LoadProgress
	o := q.outsider()
	o.all(func() {
		z := o.tx.Lend(o.worker)
		was := q.clock.NowMs()
		q.clock.wall.SetMs(r.p.clock.NowMs()) // keys whose time has come stay until the log says otherwise
		err = aof.Load(&aof.LoadOptions{
			FS: vfs.OS{}, Dir: dir, Name: aofTestName, Manifest: m, Applier: newApplier(q.srv, z, m.Shards),
		}, &p)
		q.clock.wall.SetMs(was)
		z.Release(o.worker)
	})
	if p.ReadBytes.Load() != p.TotalBytes.Load() && err == nil {
		err = errors.New("the progress ends before everything is read")
	}
	return err
}

// writeFrames makes the files of a life that has ended well from its frames by shard, and returns what a manifest says.
func writeFrames(t testing.TB, dir string, frames [][][]byte, start, end uint64) *aof.Manifest {
	t.Helper()
	m := &aof.Manifest{
		DirID: 1, Databases: 16, Shards: len(frames), ReplID: strings.Repeat("a", 40),
		Incarnations: []aof.Incarnation{{StartLSN: start, EndLSN: end, State: aof.Clean}},
	}
	m.Add(aof.IncrFiles(len(frames), 1, 0, start, 1)...)
	for i := range frames {
		h := aof.Header{DirID: 1, Shard: i, Shards: len(frames), Seq: 1, Pos: 4711, LSN: start}
		text := h.Append(nil)
		for _, f := range frames[i] {
			text = append(text, f...)
		}
		if err := vfs.WriteFileAtomic(vfs.OS{}, m.Files[i].Path(dir, aofTestName), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// oneFrame returns a frame of some records, as a shard's log has it.
func oneFrame(records ...[]string) ([][][]byte, uint64) {
	l := log.New(1, log.Limits{})
	hold := l.Resume()
	defer hold.Close()
	flow, err := hold.Flow(0, nil)
	if err != nil {
		panic(err)
	}
	defer flow.Close()
	for _, words := range records {
		var args [][]byte
		for _, w := range words {
			args = append(args, []byte(w))
		}
		l.Shard(0).Stage(0, args...)
	}
	end := l.Shard(0).Commit(true)
	f, _ := flow.Next()
	return [][][]byte{{f.Append(nil)}}, end
}

// TestApplierRefuses: what can't have been logged ends the load, and the error says what and where.
func TestApplierRefuses(t *testing.T) {
	for _, c := range []struct {
		records [][]string
		want    string
	}{
		{[][]string{{"SET", "a", "1"}, {"NOSUCH", "x"}}, `unknown command "NOSUCH"`},
		{[][]string{{"SET", "a"}}, "wrong number of arguments for set"},
		{[][]string{{"SET", "a", "x"}, {"INCR", "a"}},
			"incr fails, which it did not when it was logged: ERR value is not an integer"},
		{[][]string{{"SELECT", "16"}}, `database "16", and there are 16`},
		{[][]string{{"CLIENT", "ID"}}, "can't be in a log"},
		{[][]string{{"AUTH", "x"}}, "can't be in a log"},
	} {
		if invariant.Enabled && c.records[0][0] == "SELECT" {
			continue // the log itself does not seal such a frame
		}
		srv := newIdleServer(t, 3)
		z := srv.set.Seize()
		dir := t.TempDir()
		frames, end := oneFrame(c.records...)
		m := writeFrames(t, dir, frames, 0, end)
		err := aof.Load(&aof.LoadOptions{
			FS: vfs.OS{}, Dir: dir, Name: aofTestName, Manifest: m, Applier: newApplier(srv, z, m.Shards),
		}, &aof.LoadProgress{})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "offset 123") {
			t.Errorf("%v: %v", c.records, err)
		}
		if err := srv.space.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestApplierKnowsRenamedCommands: what was logged under a command's own name is executed, whatever it is called now.
func TestApplierKnowsRenamedCommands(t *testing.T) {
	srv := newIdleServer(t, 3, "--rename-command", "SET", "", "--rename-command", "DEL", "gone")
	z := srv.set.Seize()
	dir := t.TempDir()
	frames, end := oneFrame([]string{"SET", "a", "1"}, []string{"SET", "b", "1"}, []string{"DEL", "a"},
		[]string{"gone", "b"}, []string{"set", "c", "1"})
	m := writeFrames(t, dir, frames, 0, end)
	err := aof.Load(&aof.LoadOptions{
		FS: vfs.OS{}, Dir: dir, Name: aofTestName, Manifest: m, Applier: newApplier(srv, z, m.Shards),
	}, &aof.LoadProgress{})
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, s := range srv.set.Shards {
		keys += s.DB(0).Len()
	}
	if keys != 1 {
		t.Errorf("%d keys", keys)
	}
	if err := srv.space.Close(); err != nil {
		t.Error(err)
	}
}
