package command

import (
	"math/rand/v2"

	"fulmen/internal/glob"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

func keyRows() []*Row {
	return []*Row{
		{Info: Info{
			Name: "del", Arity: -2, Flags: Write, Categories: CatKeyspace, Keys: AllKeys(1, KeyRM|KeyDelete),
			Group: "generic", Since: "1.0.0", Summary: "Delete a key",
			Complexity: "O(N) where N is the number of keys that will be removed. When a key to remove holds a value " +
				"other than a string, the individual complexity for this key is O(M) where M is the number of " +
				"elements in the list, set, sorted set or hash. Removing a single key that holds a string value is " +
				"O(1).",
			Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}, Args: "key*",
		}, Run: cmdDel},
		{Info: Info{
			Name: "unlink", Arity: -2, Flags: Write | Fast, Categories: CatKeyspace,
			Keys:  AllKeys(1, KeyRM|KeyDelete),
			Group: "generic", Since: "4.0.0",
			Summary: "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
			Complexity: "O(1) for each key removed regardless of its size. Then the command does O(N) work in a " +
				"different thread in order to reclaim memory, where N is the number of allocations the deleted " +
				"objects where composed of.",
			Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"}, Args: "key*",
		}, Run: cmdUnlink},
		{Info: Info{
			Name: "exists", Arity: -2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: AllKeys(1, KeyRO),
			Group: "generic", Since: "1.0.0", Summary: "Determine if a key exists",
			Complexity: "O(N) where N is the number of keys to check.",
			History:    []Change{{"3.0.3", "Accepts multiple `key` arguments."}},
			Tips:       []string{"request_policy:multi_shard", "response_policy:agg_sum"}, Args: "key*",
		}, Run: cmdExists},
		{Info: Info{
			Name: "touch", Arity: -2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: AllKeys(1, KeyRO),
			Group: "generic", Since: "3.2.1",
			Summary:    "Alters the last access time of a key(s). Returns the number of existing keys specified.",
			Complexity: "O(N) where N is the number of keys that will be touched.",
			Tips:       []string{"request_policy:multi_shard", "response_policy:agg_sum"}, Args: "key*",
		}, Run: cmdTouch, Touches: true},
		{Info: Info{
			Name: "type", Arity: 2, Flags: ReadOnly | Fast, Categories: CatKeyspace, Keys: OneKey(KeyRO),
			Group: "generic", Since: "1.0.0", Summary: "Determine the type stored at key", Complexity: "O(1)",
			Args: "key",
		}, Run: cmdType},
		{Info: Info{
			Name: "keys", Arity: 2, Flags: ReadOnly, Categories: CatKeyspace | CatDangerous, Route: RouteAll,
			Group: "generic", Since: "1.0.0", Summary: "Find all keys matching the given pattern",
			Complexity: "O(N) with N being the number of keys in the database, under the assumption that the key " +
				"names in the database and the given pattern have limited length.",
			Tips: []string{"request_policy:all_shards", "nondeterministic_output_order"}, Args: "pattern:pattern",
		}, Slices: beginKeys},
		{Info: Info{
			Name: "randomkey", Arity: 1, Flags: ReadOnly, Categories: CatKeyspace, Route: RouteAll,
			Group: "generic", Since: "1.0.0", Summary: "Return a random key from the keyspace", Complexity: "O(1)",
			Tips: []string{"request_policy:all_shards", "nondeterministic_output"},
		}, Run: cmdRandomKey},
		{Info: Info{
			Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast, Categories: CatKeyspace, Route: RouteAll,
			Group: "server", Since: "1.0.0", Summary: "Return the number of keys in the selected database",
			Complexity: "O(1)", Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"},
		}, Run: cmdDBSize},
	}
}

// DEL key [key ...]
func cmdDel(c *Ctx) error { return c.deleteKeys(wordDel) }

// UNLINK key [key ...]
func cmdUnlink(c *Ctx) error { return c.deleteKeys(wordUnlink) }

// deleteKeys deletes the call's keys; big values are freed in the background in any case. The effect is the
// command as it came, or one of the given name for each key that was there if they are in several shards.
func (c *Ctx) deleteKeys(name []byte) error {
	pieces := c.Logging() && !c.oneShard()
	deleted := 0
	for i := range c.Keys {
		k := &c.Keys[i]
		db := k.Shard.DB(c.DBID)
		if _, ok := db.Look(k.Key, c.NowMs); !ok {
			continue
		}
		db.Delete(k.Key)
		c.Notify(k, shard.EventGeneric, "del")
		deleted++
		if pieces {
			c.Effect(k.Arg, name, k.Key.Bytes)
		}
	}
	c.Dirty += deleted
	c.Int(int64(deleted))
	return nil
}

// EXISTS key [key ...]
func cmdExists(c *Ctx) error { return c.countKeys(c.look) }

// TOUCH key [key ...]
func cmdTouch(c *Ctx) error { return c.countKeys(c.read) }

// countKeys replies how many of the call's keys are there, as find tells; one that is named twice counts twice.
func (c *Ctx) countKeys(find func(*Keyed, *shard.DB) (index.Entry, bool)) error {
	n := int64(0)
	for i := range c.Keys {
		k := &c.Keys[i]
		if _, ok := find(k, k.Shard.DB(c.DBID)); ok {
			n++
		}
	}
	c.Int(n)
	return nil
}

// TYPE key
func cmdType(c *Ctx) error {
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	if e, ok := c.look(k, db); ok {
		c.Simple(db.Type(e).String())
	} else {
		c.Simple("none")
	}
	return nil
}

// keysStep is how many keys a slice of KEYS asks the index for.
const keysStep = 64

// keysJob is a KEYS under way.
type keysJob struct {
	pattern namePattern
	dbID    int
	shard   int
	cursor  uint64 // in the shard's index
	found   int
}

// KEYS pattern
func beginKeys(c *Ctx) (Job, error) {
	return &keysJob{pattern: keyPattern(c.Args[1]), dbID: c.DBID}, nil
}

// Shard implements Job.
func (j *keysJob) Shard() int { return j.shard }

// Slice implements Job.
func (j *keysJob) Slice(c *Ctx) (done bool) {
	db := c.Set.Shards[j.shard].DB(j.dbID)
	j.cursor = db.Scan(j.cursor, keysStep, c.NowMs, func(e index.Entry) {
		if j.pattern.match(e.Key()) {
			c.Bulk(e.Key())
			j.found++
		}
	})
	if j.cursor != 0 {
		return false
	}
	if j.shard+1 == len(c.Set.Shards) {
		return true
	}
	j.shard++
	return false
}

// Looked implements Looker.
func (j *keysJob) Looked(k shard.Key) bool { return j.pattern.match(k.Bytes) }

// Head implements Job.
func (j *keysJob) Head(c *Ctx) { c.Array(j.found) }

// namePattern is the pattern of KEYS and SCAN; nil matches all names.
type namePattern []byte

// keyPattern returns the pattern that p stands for.
func keyPattern(p []byte) namePattern {
	if len(p) == 1 && p[0] == '*' {
		return nil
	}
	if p == nil {
		return namePattern{}
	}
	return p
}

func (p namePattern) match(name []byte) bool { return p == nil || glob.Match(p, name, false) }

// RANDOMKEY
func cmdRandomKey(c *Ctx) error {
	for {
		total := c.countAll()
		if total == 0 {
			c.Null()
			return nil
		}
		at := rand.IntN(total)
		for _, s := range c.Set.Shards {
			db := s.DB(c.DBID)
			if at -= db.Len(); at >= 0 {
				continue
			}
			if e, ok := db.Random(rand.Uint64(), c.NowMs); ok {
				c.Bulk(e.Key())
				return nil
			}
			break // a hundred expired keys less: try again
		}
	}
}

// DBSIZE
func cmdDBSize(c *Ctx) error {
	c.Int(int64(c.countAll()))
	return nil
}

// countAll returns the number of keys of the session's database in all shards.
func (c *Ctx) countAll() int {
	n := 0
	for _, s := range c.Set.Shards {
		n += s.DB(c.DBID).Len()
	}
	return n
}

// typeNamed returns whether name is that of type t, in any case.
func typeNamed(name []byte, t object.Type) bool { return equalFold(cString(name), t.String()) }
