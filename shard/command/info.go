package command

import (
	"slices"

	"fulmen/internal/resp"
)

// ModuleName is whose the commands flagged Module are; the versions in their rows are of this.
const ModuleName = "fulmen"

// Flags say what a command does.
type Flags uint32

// Flags of commands, with Redis's meanings.
const (
	Write Flags = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Asking
	Fast
	NoAuth
	MayReplicate
	NoMulti
	MovableKeys
	AllowBusy
	NoAsyncLoading
	// Module: no Redis has the command. As of a module, COMMAND DOCS names whose it is.
	Module
	NoMandatoryKeys
)

// flagNames are the names of the flags that COMMAND INFO tells of.
var flagNames = [...]struct {
	flag Flags
	name string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Module, "module"}, {Admin, "admin"},
	{PubSub, "pubsub"}, {NoScript, "noscript"}, {Blocking, "blocking"}, {Loading, "loading"}, {Stale, "stale"},
	{SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"}, {Asking, "asking"}, {Fast, "fast"},
	{NoAuth, "no_auth"}, {NoAsyncLoading, "no_async_loading"},
	{NoMandatoryKeys, "no_mandatory_keys"},
	{NoMulti, "no_multi"}, {MovableKeys, "movablekeys"}, {AllowBusy, "allow_busy"},
}

// Categories are ACL categories.
type Categories uint32

// ACL categories. Those that follow from flags (see Info.AllCategories) are not written in rows.
const (
	CatKeyspace Categories = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting
)

var categoryNames = [...]string{"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap",
	"hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection",
	"transaction", "scripting"}

// KeyFlags say what a command does to the keys of one key spec.
type KeyFlags uint16

// Key flags with Redis's meanings.
const (
	KeyRO KeyFlags = 1 << iota
	KeyRW
	KeyOW
	KeyRM
	KeyAccess
	KeyUpdate
	KeyInsert
	KeyDelete
	KeyNotKey
	KeyIncomplete
	KeyVariable
)

var keyFlagNames = [...]string{"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key",
	"incomplete", "variable_flags"}

// KeySpec says where keys stand: from argument First, every Step-th, through Last; a negative Last counts
// from the end of the arguments (-1 = the last one), a non-negative one from First. Of a counted spec argument First
// says how many keys follow it, the first of them at once, and Last means nothing. Those of a spec with a keyword stand
// behind that, which is looked for from argument First on, backwards from the First-last one if First is negative.
// With a Limit of n they are the first of n parts of what stands there.
// Where keys of an unknown spec stand no number says. Find finds them, if it is there, whatever else the spec says;
// those of an unknown spec without it stand nowhere.
type KeySpec struct {
	First, Last, Step int
	Counted, Unknown  bool
	Keyword           string
	Limit             int
	Find              func(dst []int, args [][]byte) []int // appends positions
	Flags             KeyFlags
	Notes             string
}

// OneKey is the key spec of commands whose first argument is their only key.
func OneKey(flags KeyFlags) []KeySpec { return []KeySpec{{First: 1, Step: 1, Flags: flags}} }

// AllKeys is the key spec of commands whose arguments from the first on are keys, every step-th.
func AllKeys(step int, flags KeyFlags) []KeySpec {
	return []KeySpec{{First: 1, Last: -1, Step: step, Flags: flags}}
}

// Info is what a row says about a command.
type Info struct {
	Name       string // lower case; of a subcommand: without its container
	Arity      int    // exact count of arguments, the name included; negative: at least
	Flags      Flags
	Categories Categories // beyond those that follow from flags
	Keys       []KeySpec
	Group      string
	Since      string
	Summary    string
	Complexity string
	Tips       []string

	// Documentation only.
	Args            string // what COMMAND DOCS says about arguments, in the notation of syntax.go
	History         []Change
	DeprecatedSince string // with ReplacedBy; "" for commands that are not deprecated
	ReplacedBy      string
	Syscmd          bool // not for users

	// Route says which batons the handler needs; see Route.
	Route Route
	// RouteOf says it of a call where it depends on the arguments; nil elsewhere.
	RouteOf func(args [][]byte) Route
}

// RouteFor returns which batons a call needs.
func (in *Info) RouteFor(args [][]byte) Route {
	if in.RouteOf != nil {
		return in.RouteOf(args)
	}
	return in.Route
}

// Change is a line of a command's history: what the given version of Redis brought.
type Change struct{ Since, What string }

// Route says which shards a command needs.
type Route uint8

const (
	// RouteKeys: the shards of its keys; none for a command without keys.
	RouteKeys Route = iota
	// RouteAll: all shards.
	RouteAll
)

// AllCategories returns the ACL categories including those that follow from flags.
func (in *Info) AllCategories() Categories {
	c := in.Categories
	add := func(f Flags, cat Categories) {
		if in.Flags&f != 0 {
			c |= cat
		}
	}
	add(Write, CatWrite)
	if in.Categories&CatScripting == 0 {
		add(ReadOnly, CatRead)
	}
	add(Admin, CatAdmin|CatDangerous)
	add(PubSub, CatPubSub)
	add(Fast, CatFast)
	add(Blocking, CatBlocking)
	if in.Flags&Fast == 0 {
		c |= CatSlow
	}
	return c
}

// KeyIndexes appends the positions of the keys among a call's arguments.
func (in *Info) KeyIndexes(dst []int, args [][]byte) []int {
	for i := range in.Keys {
		if in.Keys[i].Flags&KeyNotKey == 0 {
			dst = in.Keys[i].indexes(dst, args)
		}
	}
	return dst
}

// hasKeys tells whether some of its arguments are keys.
func (in *Info) hasKeys() bool {
	return slices.ContainsFunc(in.Keys, func(spec KeySpec) bool { return spec.Flags&KeyNotKey == 0 })
}

// indexes appends the positions of the spec's keys among arguments. A count that can't be has no keys.
func (spec *KeySpec) indexes(dst []int, args [][]byte) []int {
	argc := len(args)
	if spec.Find != nil {
		return spec.Find(dst, args)
	}
	if spec.Unknown {
		return dst
	}
	if spec.Counted {
		for k := range spec.count(args) {
			dst = append(dst, spec.First+1+k*spec.Step)
		}
		return dst
	}
	last := spec.First + spec.Last
	if spec.Last < 0 {
		last = argc + spec.Last
	}
	for k := spec.First; k <= last && k < argc; k += spec.Step {
		dst = append(dst, k)
	}
	return dst
}

// count reads how many keys a counted spec has; 0 if that can't be.
func (spec *KeySpec) count(args [][]byte) int {
	if spec.First >= len(args) {
		return 0
	}
	n, ok := resp.ParseInt(args[spec.First])
	if most := (len(args) - spec.First - 1) / spec.Step; !ok || n < 1 || n > int64(most) {
		return 0
	}
	return int(n)
}

// keyRange puts all key specs into the one range that COMMAND knew of old; zeros if there are none.
func (in *Info) keyRange() (first, last, step int) {
	for i := range in.Keys {
		spec := &in.Keys[i]
		if spec.Counted || spec.Unknown || spec.Keyword != "" {
			continue
		}
		to := spec.Last
		if to >= 0 {
			to += spec.First
		}
		if i == 0 {
			first, last, step = spec.First, to, spec.Step
			continue
		}
		first = min(first, spec.First)
		if last = max(last, to); to < 0 {
			last = to
		}
	}
	return first, last, step
}

// SingleKey tells whether the command has exactly one key, its first argument.
func (in *Info) SingleKey() bool {
	return in.Route == RouteKeys && in.RouteOf == nil && len(in.Keys) == 1 && in.Keys[0].First == 1 &&
		in.Keys[0].Last == 0 && !in.Keys[0].Counted && in.hasKeys()
}

// ArityOK tells whether argc arguments, the name included, satisfy the arity.
func (in *Info) ArityOK(argc int) bool {
	if in.Arity < 0 {
		return argc >= -in.Arity
	}
	return argc == in.Arity
}
