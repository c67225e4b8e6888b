package log

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"sort"
	"strconv"
	"sync"
	"testing"
)

// store is a keyspace that runs the few commands of this test. All its databases are in one map.
type store struct {
	db   int
	keys map[string]string // "db/key" to value
}

func newStore() *store { return &store{keys: map[string]string{}} }

func (s *store) run(args [][]byte) error {
	key := func(i int) string { return strconv.Itoa(s.db) + "/" + string(args[i]) }
	switch string(args[0]) {
	case "SELECT":
		s.db, _ = strconv.Atoi(string(args[1]))
	case "MULTI", "EXEC":
	case "SET":
		s.keys[key(1)] = string(args[2])
	case "APPEND":
		s.keys[key(1)] += string(args[2])
	case "DEL":
		delete(s.keys, key(1))
	case "RENAME":
		v, ok := s.keys[key(1)]
		if !ok {
			return fmt.Errorf("no key %s", args[1])
		}
		delete(s.keys, key(1))
		s.keys[key(2)] = v
	case "FLUSHALL":
		clear(s.keys)
	default:
		return fmt.Errorf("unknown command %q", args[0])
	}
	return nil
}

// server is a keyspace in shards, with a baton each, whose effects are logged.
type server struct {
	*stageSet
	shards []*store
}

func (s *server) shardOf(key string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return int(h.Sum32() % uint32(len(s.shards)))
}

// call runs a command on the shards whose batons are held, and stages it.
func (s *server) call(db int, args ...string) {
	b := bytesOf(args)
	switch args[0] {
	case "FLUSHALL":
		var all []*ShardLog
		for i := range s.shards {
			all = append(all, s.log.Shard(i))
			_ = s.shards[i].run(b)
		}
		s.log.StageBarrier(all, -1, b...)
	case "RENAME":
		from, to := s.shardOf(args[1]), s.shardOf(args[2])
		k1, k2 := fmt.Sprintf("%d/%s", db, args[1]), fmt.Sprintf("%d/%s", db, args[2])
		v, ok := s.shards[from].keys[k1]
		if !ok {
			return
		}
		delete(s.shards[from].keys, k1)
		s.shards[to].keys[k2] = v
		if from == to {
			s.log.Shard(from).Stage(db, b...)
		} else {
			s.log.StageBarrier([]*ShardLog{s.log.Shard(from), s.log.Shard(to)}, db, b...)
		}
	default:
		i := s.shardOf(args[1])
		s.shards[i].db = db
		_ = s.shards[i].run(b)
		s.log.Shard(i).Stage(db, b...)
	}
}

// transact holds the batons of the keys' shards, or all of them, and runs some commands on these keys.
func (s *server) transact(rnd *rand.Rand, n int) {
	var keys []string
	need := map[int]bool{}
	for range 1 + rnd.IntN(3) {
		k := "key" + strconv.Itoa(rnd.IntN(30))
		keys = append(keys, k)
		need[s.shardOf(k)] = true
	}
	flush := rnd.IntN(100) == 0
	var held []*ShardLog
	for i := range s.shards {
		if flush || need[i] {
			s.batons[i].Lock()
			defer s.batons[i].Unlock()
			held = append(held, s.log.Shard(i))
		}
	}
	for i := range 1 + rnd.IntN(4) {
		k, db := keys[rnd.IntN(len(keys))], rnd.IntN(3)
		switch rnd.IntN(6) {
		case 0:
			s.call(db, "SET", k, strconv.Itoa(n))
		case 1, 2:
			s.call(db, "APPEND", k, strconv.Itoa(i))
		case 3:
			s.call(db, "DEL", k)
		case 4:
			s.call(db, "RENAME", k, keys[rnd.IntN(len(keys))])
		case 5:
			if flush {
				s.call(db, "FLUSHALL")
			}
		}
	}
	s.log.Commit(held, true)
}

// TestReplay replays the log into empty stores, as the merged stream and frame by frame, and wants the
// data that wrote it.
func TestReplay(t *testing.T) {
	const shards = 4
	s := &server{stageSet: newStageSet(shards, Limits{BacklogBytes: 1 << 30, MemoryBytes: 1 << 30})}
	for range shards {
		s.shards = append(s.shards, newStore())
	}
	h := s.log.Attach()
	defer h.Close()
	var workers sync.WaitGroup
	for w := range 3 {
		workers.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 9))
			for n := range 1500 {
				s.transact(rnd, n)
			}
		})
	}
	workers.Wait()
	want := newStore()
	for _, shard := range s.shards {
		for k, v := range shard.keys {
			want.keys[k] = v
		}
	}

	m, err := h.Merged(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	merged := newStore()
	if err := ForEachIn(m.Append(nil, 1<<40), merged.run); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(merged.keys, want.keys) {
		t.Error("the merged stream gives other data")
	}

	// Frames carry their place; between commits a shard's frames and another's may be applied in any order.
	type piece struct {
		Header
		frame []byte
	}
	var pieces []piece
	for i := range shards {
		r, err := h.Flow(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for f, ok := r.Next(); ok; f, ok = r.Next() {
			frame := f.Append(nil)
			d, _, err := DecodeFrame(frame)
			if err != nil {
				t.Fatal(err)
			}
			pieces = append(pieces, piece{d.Header, frame})
		}
	}
	sort.SliceStable(pieces, func(i, j int) bool { return pieces[i].Start < pieces[j].Start })
	framed := newStore()
	for _, p := range pieces {
		if framed.db = 0; p.Len() == 0 {
			continue
		}
		if err := ForEachRecord(p.frame, framed.run); err != nil {
			t.Fatal(err)
		}
		if framed.db != 0 {
			t.Fatalf("frame at %d ends in database %d", p.Start, framed.db)
		}
	}
	if !reflect.DeepEqual(framed.keys, want.keys) {
		t.Error("the frames give other data")
	}
}
