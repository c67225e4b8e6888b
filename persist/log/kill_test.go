package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"fulmen/internal/need"
	"fulmen/persist/vfs"
)

const (
	killShards  = 4
	killWorkers = 6
	killRounds  = 20 / share
	killRing    = 8 << 20
	killDirEnv  = "FULMEN_TEST_RING_DIR"
	killSeedEnv = "FULMEN_TEST_RING_SEED"
	reportBytes = 24
)

// TestRingKillNine kills a process that commits as fast as it can, at moments drawn at random, and finds every commit
// that it has reported, in the ring or, where blocks were beside the ring, in files that it has written and not synced;
// and nothing that it has not committed.
func TestRingKillNine(t *testing.T) {
	if dir := os.Getenv(killDirEnv); dir != "" {
		killedProcess(dir) // ends only by being killed
	}
	id, err := killIdentity()
	if err != nil {
		need.Missing(t, "this boot of the machine has no name: %v", err)
	}
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	commits, holes, ringBytes := 0, 0, 0
	for round := range killRounds {
		dir := need.MemoryDir(t)
		reports := killOne(t, dir, round, 1+random.IntN(4000))
		c, err := ReadRing(vfs.OS{}, RingName(dir, testDirID), id)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		left := &leftBehind{commits: map[uint64]*killedCommit{}}
		for i := range c.Shards {
			if err := left.readShard(dir, i, &c.Shards[i]); err != nil {
				t.Fatalf("round %d, shard %d: %v", round, i, err)
			}
		}
		if err := left.check(reports); err != nil {
			t.Fatalf("round %d, %d commits reported: %v", round, len(reports), err)
		}
		if err := os.RemoveAll(dir); err != nil { // there may be little memory for files
			t.Fatal(err)
		}
		commits += len(reports)
		ringBytes += left.ringBytes
		if left.hole {
			holes++
		}
	}
	t.Logf("%d commits reported, %d bytes were only in the ring, in %d of %d rounds something beside it was lost",
		commits, ringBytes, holes, killRounds)
}

func killIdentity() (RingIdentity, error) {
	boot, err := BootID(vfs.OS{})
	return RingIdentity{Boot: boot, DirID: testDirID, Incarnation: 7, Shards: killShards}, err
}

// report is what a worker has told about a commit that has returned and was safe.
type report struct{ worker, number, lsn uint64 }

// killOne runs a process until it has reported n commits, kills it, and gives all that it has reported.
func killOne(t *testing.T, dir string, round, n int) (reports []report) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestRingKillNine$")
	cmd.Env = append(os.Environ(), killDirEnv+"="+dir, killSeedEnv+"="+strconv.Itoa(round), "GORACE=halt_on_error=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text [reportBytes]byte
	for {
		if _, err := io.ReadFull(out, text[:]); err != nil {
			break // it is dead, and the pipe is empty
		}
		at := func(i int) uint64 { return binary.LittleEndian.Uint64(text[i:]) }
		if reports = append(reports, report{at(0), at(8), at(16)}); len(reports) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("round %d: the process ended by itself: %v", round, err)
	}
	return reports
}

// killed is the process that will be killed.
type killed struct {
	log    *Log
	lazy   bool // files are written only when blocks are beside the ring
	batons [killShards]sync.Mutex
	bell   chan struct{}
	safe   *sync.Cond // SafeLSN may have grown
}

// killedProcess commits from several goroutines, with a writer of files beside them.
func killedProcess(dir string) {
	seed, err := strconv.Atoi(os.Getenv(killSeedEnv))
	if err == nil {
		err = killedRun(dir, uint64(seed))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func killedRun(dir string, seed uint64) error {
	id, err := killIdentity()
	if err != nil {
		return err
	}
	r, err := CreateRing(RingOptions{FS: vfs.OS{}, Dir: dir, SizeBytes: killRing, Identity: id})
	if err != nil {
		return err
	}
	k := &killed{
		log: New(killShards, Limits{MemoryBytes: 1 << 30}), lazy: seed%4 != 0,
		bell: make(chan struct{}, 1), safe: sync.NewCond(&sync.Mutex{}),
	}
	k.log.SetIncarnation(7)
	k.log.UseRing(r)
	h := k.log.Resume()
	for w := range uint64(killWorkers) {
		go k.work(w, rand.New(rand.NewPCG(seed, w)))
	}
	return k.writeFiles(dir, h)
}

func (k *killed) ring() {
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// work makes commits over one shard or more, each of which is reported once it is safe.
func (k *killed) work(worker uint64, random *rand.Rand) {
	var text [reportBytes]byte
	for number := uint64(0); ; number++ {
		var held []*ShardLog
		first, n := random.IntN(killShards), 1
		if random.IntN(4) == 0 {
			n += random.IntN(killShards - first)
		}
		for i := range n {
			k.batons[first+i].Lock()
			held = append(held, k.log.Shard(first+i))
		}
		for i, s := range held {
			s.Stage(0, killRecord(worker, number, i)...)
		}
		lsn := k.log.Commit(held, true)
		for i := range n {
			k.batons[first+i].Unlock()
		}
		if !k.log.AllSafe() {
			k.safe.L.Lock()
			for k.log.SafeLSN() < lsn {
				k.ring()
				k.safe.Wait()
			}
			k.safe.L.Unlock()
		}
		binary.LittleEndian.PutUint64(text[:], worker)
		binary.LittleEndian.PutUint64(text[8:], number)
		binary.LittleEndian.PutUint64(text[16:], lsn)
		if _, err := os.Stdout.Write(text[:]); err != nil {
			os.Exit(1)
		}
	}
}

// killRecord is piece i of a worker's commit; all that it has follows from that.
func killRecord(worker, number uint64, i int) [][]byte {
	random := rand.New(rand.NewPCG(worker, number*killShards+uint64(i)))
	size := 8 + random.IntN(300)
	if random.IntN(4) == 0 {
		size = random.IntN(60_000)
	}
	value := bytes.Repeat([]byte{byte(random.Uint32())}, size)
	return [][]byte{[]byte("SET"), fmt.Appendf(nil, "%d %d %d", worker, number, i), value}
}

func killFile(dir string, shard int) string { return filepath.Join(dir, "incr"+strconv.Itoa(shard)) }

// writeFiles writes what is committed to files, and syncs nothing.
func (k *killed) writeFiles(dir string, h *Hold) error {
	var files []*os.File
	var readers []*ChunkReader
	for i := range killShards {
		f, err := os.Create(killFile(dir, i))
		if err != nil {
			return err
		}
		r, err := h.Chunks(i, nil)
		if err != nil {
			return err
		}
		files, readers = append(files, f), append(readers, r)
	}
	h.Unpin()
	waiter := k.log.NewWaiter(k.ring)
	for {
		lsn := k.log.Contiguous()
		for i, r := range readers {
			for p := r.Next(1 << 20); p != nil; p = r.Next(1 << 20) {
				if _, err := files[i].Write(p); err != nil {
					return err
				}
			}
		}
		k.log.SetWritten(lsn)
		k.safe.L.Lock()
		k.safe.Broadcast()
		k.safe.L.Unlock()
		if k.lazy || waiter.Park(lsn) {
			<-k.bell
		}
	}
}

// killedCommit is what was found of a commit.
type killedCommit struct {
	worker, number uint64
	pieces         int
	missing        uint64 // bytes of its range
}

// leftBehind is what a killed process has left.
type leftBehind struct {
	commits   map[uint64]*killedCommit // by the end of their range
	ringBytes int                      // that are in no file
	hole      bool
}

// readShard joins what is in the shard's file with what is in the ring.
func (left *leftBehind) readShard(dir string, shard int, s *RingShard) error {
	data, err := os.ReadFile(killFile(dir, shard))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if uint64(len(data)) > s.Tail {
		return fmt.Errorf("the file has %d bytes, the ring's tail is %d", len(data), s.Tail)
	}
	for _, r := range s.Ranges {
		if r.Pos < uint64(len(data)) {
			n := min(len(r.Data), len(data)-int(r.Pos))
			if !bytes.Equal(r.Data[:n], data[r.Pos:][:n]) {
				return fmt.Errorf("the ring has other bytes from %d on than the file", r.Pos)
			}
		}
	}
	more, whole := s.From(uint64(len(data)))
	data = append(data, more...)
	left.ringBytes += len(more)
	left.hole = left.hole || !whole
	for last := uint64(0); len(data) > 0; {
		f, n, err := DecodeFrame(data)
		if err != nil {
			return err
		}
		if n == 0 {
			if whole {
				return fmt.Errorf("the log ends inside a frame, %d bytes", len(data))
			}
			break
		}
		if f.Start < last || f.Incarnation != 7 {
			return fmt.Errorf("a frame of incarnation %d at LSN %d behind one up to %d", f.Incarnation, f.Start, last)
		}
		last = f.End
		if err := left.add(&f); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// add looks at what a frame has.
func (left *leftBehind) add(f *Frame) error {
	c := left.commits[f.TxEnd]
	if c == nil {
		c = &killedCommit{missing: f.TxEnd - f.TxStart, worker: killWorkers}
		left.commits[f.TxEnd] = c
	}
	c.missing -= f.Len()
	return ForEachIn(f.Records, func(args [][]byte) error {
		if len(args) == 1 {
			return nil // MULTI and EXEC
		}
		var worker, number uint64
		var piece int
		if _, err := fmt.Sscanf(string(args[1]), "%d %d %d", &worker, &number, &piece); err != nil {
			return err
		}
		for i, want := range killRecord(worker, number, piece) {
			if !bytes.Equal(args[i], want) {
				return fmt.Errorf("%q has %d bytes that were not written", args[1], len(args[2]))
			}
		}
		if c.pieces > 0 && (c.worker != worker || c.number != number) {
			return fmt.Errorf("the commit that ends at %d is of several workers", f.TxEnd)
		}
		c.worker, c.number = worker, number
		c.pieces++
		return nil
	})
}

// check compares what was found with what was reported.
func (left *leftBehind) check(reports []report) error {
	var reported [killWorkers]uint64
	for _, r := range reports {
		if r.number != reported[r.worker] {
			return fmt.Errorf("worker %d reported commit %d instead of %d", r.worker, r.number, reported[r.worker])
		}
		reported[r.worker]++
		c := left.commits[r.lsn]
		if c == nil || c.missing != 0 || c.worker != r.worker || c.number != r.number {
			return fmt.Errorf("%+v was found as %+v", r, c)
		}
	}
	if len(left.commits) > len(reports)+killWorkers {
		return fmt.Errorf("%d commits were found", len(left.commits))
	}
	for lsn, c := range left.commits {
		known := c.worker < killWorkers // by a piece with records
		if !known && c.missing == 0 || known && c.number > reported[c.worker] {
			return fmt.Errorf("%+v was found, which ends at %d", c, lsn)
		}
	}
	return nil
}
