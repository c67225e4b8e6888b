package command

import "fulmen/shard"

// flushHistory is the history of both commands.
func flushHistory() []Change {
	return []Change{
		{"4.0.0", "Added the `ASYNC` flushing mode modifier."}, {"6.2.0", "Added the `SYNC` flushing mode modifier."},
	}
}

func flushRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "flushdb", Arity: -1, Flags: Write, Categories: CatKeyspace | CatDangerous, Route: RouteAll,
			Group: "server", Since: "1.0.0", Summary: "Remove all keys from the current database",
			Complexity: "O(N) where N is the number of keys in the selected database", History: flushHistory(),
			Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Args: "async?(ASYNC@4.0.0|SYNC@6.2.0)",
		}, Run: cmdFlushDB},
		{Info: Info{
			Name: "flushall", Arity: -1, Flags: Write, Categories: CatKeyspace | CatDangerous, Route: RouteAll,
			Group: "server", Since: "1.0.0", Summary: "Remove all keys from all databases",
			Complexity: "O(N) where N is the total number of keys in all databases", History: flushHistory(),
			Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Args: "async?(ASYNC@4.0.0|SYNC@6.2.0)",
		}, Run: cmdFlushAll},
	}
}

var (
	wordFlushDB  = []byte("FLUSHDB")
	wordFlushAll = []byte("FLUSHALL")
)

// FLUSHDB [ASYNC | SYNC]
func cmdFlushDB(c *Ctx) error { return c.flush(wordFlushDB, c.DBID, c.DBID+1) }

// FLUSHALL [ASYNC | SYNC]
func cmdFlushAll(c *Ctx) error {
	err := c.flush(wordFlushAll, 0, c.Set.Databases())
	c.EmptiedAll = err == nil
	return err
}

// flush removes all keys of databases from up to, not including, to. As in Redis it is logged even if there are
// none: a replica may have some.
func (c *Ctx) flush(name []byte, from, to int) error {
	a := c.ArgsFrom(1)
	async := c.Limits.LazyUserFlush
	switch {
	case a.Option("async"):
		async = true
	case a.Option("sync"):
		async = false
	}
	if a.More() {
		a.Syntax()
	}
	if a.Err() != nil {
		return a.Err()
	}
	for id := from; id < to; id++ {
		c.EachDB(id, func(db *shard.DB) {
			c.Dirty += db.Len()
			db.Flush()
		})
	}
	c.Set.AllChanged()
	c.EffectOfAll(name)
	if !async {
		c.Then = &freeJob{}
	}
	c.OK()
	return nil
}

// freeJob frees what is detached in all shards: whoever flushes with SYNC is told when the memory is free, but nobody
// else waits for that.
type freeJob struct{ shard int }

// freeStep is how many entries and nodes a slice frees.
const freeStep = 64

// Shard implements Job.
func (j *freeJob) Shard() int { return j.shard }

// Slice implements Job.
func (j *freeJob) Slice(c *Ctx) (done bool) {
	if !c.Set.Shards[j.shard].FreeSome(freeStep) {
		return false
	}
	if j.shard+1 == len(c.Set.Shards) {
		return true
	}
	j.shard++
	return false
}

// Head implements Job.
func (*freeJob) Head(*Ctx) {}
