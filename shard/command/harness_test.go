package command

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"fulmen/internal/clock"
	"fulmen/internal/resp"
	"fulmen/persist/log"
	"fulmen/shard"
	"fulmen/shard/arena"
)

// testNowMs is when harnesses begin.
const testNowMs = 1_700_000_000_000

// harness executes commands without a server: it finds a command's row and keys and calls Call with all batons held.
type harness struct {
	t     testing.TB
	set   *shard.Set
	now   *clock.Fake
	w     shard.Worker
	tx    shard.Tx
	ctx   Ctx
	table *Table
	idx   []int
	keys  []Keyed
}

type noBell struct{}

func (noBell) Ring(*shard.Shard) {}

type noWaiter struct{}

func (noWaiter) Resume(*shard.Tx) { panic("nobody else holds a baton") }

func newHarness(t testing.TB, shards int) *harness {
	t.Helper()
	space, err := arena.NewSpace(64 << 30)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &harness{t: t, now: clock.NewFake(testNowMs), table: NewTable(Rows())}
	h.set, err = shard.NewSet(shard.Options{
		Shards: shards, Databases: 16, Space: space, Log: log.New(shards, log.Limits{}), Clock: h.now, Bell: noBell{},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.tx.Init(h.set, noWaiter{})
	all := make([]int, shards)
	for i := range all {
		all[i] = i
	}
	h.tx.Begin(all)
	h.ctx = Ctx{
		Set: h.set, Worker: &h.w, Calls: NewCallStats(h.table), Table: h.table, Proto: 2,
		Limits: &Limits{
			MaxStringBytes: 512 << 20, ListFill: -2, HashMaxListpackEntries: 512, HashMaxListpackValueBytes: 64,
			HLLSparseMaxBytes: 3000,
			Sets:              shard.SetLimits{IntsetEntries: 512, ListpackEntries: 128, ListpackValue: 64},
			ZSet:              shard.ZSetLimits{Entries: 128, ValueBytes: 64},
			Stream:            shard.StreamLimits{NodeBytes: 4096, NodeEntries: 100},
		},
		Observers: NoObservers(),
	}
	return h
}

// out returns the reply in the context.
func (h *harness) out() []byte {
	if len(h.ctx.pieces) == 0 {
		return h.ctx.Out
	}
	return append(slices.Concat(h.ctx.pieces...), h.ctx.Out...)
}

// call executes a command; the reply is valid until the next call.
func (h *harness) call(args [][]byte) []byte {
	h.ctx.Cut(Mark{})
	row := h.table.Lookup(args[0])
	if row == nil {
		h.ctx.Reject(nil, resp.ErrUnknownCommand(args[0], args[1:]))
		return h.ctx.Out
	}
	if len(row.Subs) > 0 && len(args) > 1 {
		container := row
		if row = row.Sub(args[1]); row == nil {
			h.ctx.Reject(container, resp.ErrUnknownSubcommand(args[0], args[1]))
			return h.ctx.Out
		}
	}
	if !row.ArityOK(len(args)) {
		h.ctx.Reject(row, resp.ErrWrongArity(row.FullName))
		return h.ctx.Out
	}
	h.idx, h.keys = row.KeyIndexes(h.idx[:0], args), h.keys[:0]
	for _, i := range h.idx {
		s := h.set.Shards[h.set.ShardOf(args[i])]
		h.keys = append(h.keys, Keyed{Key: h.set.Key(args[i]), Shard: s, Arg: i})
	}
	h.ctx.Args, h.ctx.Keys, h.ctx.NowMs = args, h.keys, h.now.NowMs()
	h.set.Tick(h.ctx.NowMs)
	if !h.tx.Acquire(&h.w) {
		h.t.Fatal("a baton is taken")
	}
	Call(&h.ctx, row)
	h.tx.Release(&h.w)
	return h.out()
}

// do executes a command and gives its reply.
func (h *harness) do(args ...string) resp.Value {
	h.t.Helper()
	return h.parse(h.call(bytesOf(args)))
}

func (h *harness) parse(reply []byte) resp.Value {
	h.t.Helper()
	in := bytes.NewReader(reply)
	v, err := resp.NewReader(in).ReadReply()
	if err != nil || !bytes.Equal(v.Append(nil), reply) {
		h.t.Fatalf("%q is not one reply (%v)", reply, err)
	}
	return v
}

// expect executes a command and compares its reply in short form: text of strings and errors, numbers, nil.
func (h *harness) expect(want string, args ...string) {
	h.t.Helper()
	if got := brief(h.do(args...)); got != want {
		h.t.Errorf("%q: got %s, want %s", args, got, want)
	}
}

func brief(v resp.Value) string {
	switch {
	case v.Null:
		return "nil"
	case v.Kind == resp.KindInt:
		return fmt.Sprint(v.Int)
	case v.Elems != nil || v.Kind == resp.KindArray:
		all := []string{}
		for _, e := range v.Elems {
			all = append(all, brief(e))
		}
		return fmt.Sprint(all)
	}
	return string(v.Str)
}

func bytesOf(args []string) [][]byte {
	out := make([][]byte, len(args))
	for i, a := range args {
		out[i] = []byte(a)
	}
	return out
}
