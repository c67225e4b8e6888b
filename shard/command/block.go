package command

import (
	"bytes"
	"math"

	"fulmen/internal/resp"
	"fulmen/shard/object"
)

// Commands that wait for an element; those of streams, which differ, are in stream_read.go. Each is a command that
// doesn't wait, its form, and the wait: it runs the form for the first of its keys that is there, and so replies and
// logs what that does. Where there is nothing it says so in Ctx.Wait; whoever executes it has the session wait and runs
// it again, with Ctx.Woken, when a key is ready.

// Wait is what a command that found nothing says about waiting.
type Wait struct {
	On      bool  // it waits
	UntilMs int64 // when its time is up; 0: never
	Pins    []Pin // arguments that are others when it is run again
}

// Pin is an argument's text from the beginning of a wait on: what it meant then.
type Pin struct {
	Arg  int
	Text []byte
}

// WaitKeys returns how many of a call's keys it waits for: those of the first key spec. The others must be at hand when
// it is served.
func (r *Row) WaitKeys(keys int) int {
	if len(r.Keys) > 1 {
		return min(keys, 1)
	}
	return keys
}

// timeout reads the timeout in argument i, in seconds: when it ends, 0 for never.
func (c *Ctx) timeout(i int) (untilMs int64, err error) {
	v, ok := resp.ParseLongDouble(c.Args[i])
	if !ok {
		return 0, resp.ErrTimeoutNotFloat
	}
	ms, ok := v.CeilThousandfold()
	switch {
	case !ok || ms < 0: // C turns what doesn't fit into the least of numbers
		return 0, resp.ErrTimeoutNegative
	case ms == 0:
		return 0, nil
	case ms <= math.MaxInt64-c.NowMs:
		return c.NowMs + ms, nil
	}
	return math.MaxInt64, nil
}

// firstOrWait returns the first of the keys that is there. Where there is none it is nil and the call is over: the
// session waits until the timeout in argument i, or where it must not, null is the reply.
func (c *Ctx) firstOrWait(t object.Type, i int, null func()) (*Keyed, error) {
	untilMs, err := c.timeout(i)
	if err != nil {
		return nil, err
	}
	k, err := c.first(t)
	switch {
	case err != nil || k != nil:
		return k, err
	case c.MayBlock:
		c.Wait = Wait{On: true, UntilMs: untilMs}
	default:
		null()
	}
	return nil, nil
}

// first returns the first of the keys that is there, which a call that was woken is given alone; nil if there is none.
// One of another type before it is an error.
func (c *Ctx) first(t object.Type) (*Keyed, error) {
	keys := c.Keys[:c.Row.WaitKeys(len(c.Keys))]
	for i := range keys {
		k := &keys[i]
		e, ok := k.Shard.DB(c.DBID).Look(k.Key, c.NowMs)
		switch {
		case !ok:
		case object.TypeOf(e.Tag()) == t:
			return k, nil
		case !c.Woken: // who waits goes on waiting
			return nil, resp.ErrWrongType
		}
	}
	return nil, nil
}

// instead runs form on args, with keys, which stand together behind its name or its count of keys. What it changed is
// logged as a call of that form.
func (c *Ctx) instead(form *Row, args [][]byte, keys ...Keyed) error {
	row, ownArgs, ownKeys, dirty := c.Row, c.Args, c.Keys, c.Dirty
	at := form.Info.Keys[0].First
	if form.Info.Keys[0].Counted {
		at++
	}
	c.Row, c.Args, c.Keys = form, args, make([]Keyed, len(keys))
	for i := range keys {
		c.Keys[i] = keys[i]
		c.Keys[i].Arg = at + i
	}
	err := form.Run(c)
	switch {
	case err != nil || c.Dirty == dirty || c.effects:
	case len(keys) > 1 && len(form.Info.Keys) > 1:
		c.EffectOfKeys()
	default:
		c.Effect(at, args...)
	}
	c.Row, c.Args, c.Keys = row, ownArgs, ownKeys
	return err
}

// popOne is the handler of BLPOP and its like: keys and a timeout. The reply is an array of the key and what form,
// which pops one element, replies.
func popOne(form *Row, t object.Type) func(*Ctx) error {
	name := nameOf(form)
	return func(c *Ctx) error {
		k, err := c.firstOrWait(t, len(c.Args)-1, c.NullArray)
		if k == nil {
			return err
		}
		if t == object.List {
			c.Array(2)
		} else {
			c.Array(3)
		}
		c.Bulk(k.Key.Bytes)
		behind := c.Mark()
		if err := c.instead(form, [][]byte{name, k.Key.Bytes}, *k); err != nil {
			return err
		}
		if t != object.List { // what form replies is an array, too: of member and score
			c.replace(behind, bytes.IndexByte(c.after(behind), '\n')+1, nil)
		}
		return nil
	}
}

// popMany is the handler of BLMPOP and BZMPOP: a timeout, then what form takes, which is a count of keys, the keys, one
// of two words, and COUNT.
func popMany(form *Row, t object.Type, words [2]string) func(*Ctx) error {
	name := nameOf(form)
	return func(c *Ctx) error {
		behind, err := c.checkPopMany(words)
		if err != nil {
			return err
		}
		k, err := c.firstOrWait(t, 1, c.NullArray)
		if k == nil {
			return err
		}
		args := append([][]byte{name, one, k.Key.Bytes}, c.Args[behind:]...)
		return c.instead(form, args, *k)
	}
}

var one = []byte("1")

// checkPopMany finds what is wrong with the arguments of BLMPOP and BZMPOP behind the timeout, or which of them comes
// behind the keys.
func (c *Ctx) checkPopMany(words [2]string) (behind int, err error) {
	a := c.ArgsFrom(2)
	n := a.IntOr(resp.ErrNumkeys)
	switch {
	case a.Err() != nil || n <= 0:
		return 0, resp.ErrNumkeys
	case n >= int64(a.Left()):
		return 0, resp.ErrSyntax
	}
	behind = 3 + int(n)
	a = c.ArgsFrom(behind)
	if !a.Option(words[0]) && !a.Option(words[1]) {
		return 0, resp.ErrSyntax
	}
	for counted := false; a.More(); counted = true {
		if counted || !a.Option("count") || !a.More() {
			return 0, resp.ErrSyntax
		}
		if count := a.IntOr(resp.ErrCountZero); a.Err() != nil || count <= 0 {
			return 0, resp.ErrCountZero
		}
	}
	return behind, nil
}

// move is the handler of BLMOVE and BRPOPLPUSH: what form takes, and a timeout.
func move(form *Row) func(*Ctx) error {
	name := nameOf(form)
	return func(c *Ctx) error {
		last := len(c.Args) - 1
		for i := 3; i < last; i++ {
			if a := c.ArgsFrom(i); !a.Option("left") && !a.Option("right") {
				return resp.ErrSyntax
			}
		}
		k, err := c.firstOrWait(object.List, last, c.Null)
		if k == nil {
			return err
		}
		return c.instead(form, append([][]byte{name}, c.Args[1:last]...), c.Keys...)
	}
}

// blockingRows returns the commands that wait, whose forms are among the given rows.
func blockingRows(rows []*Row) []*Row {
	forms := map[string]*Row{}
	for _, r := range rows {
		forms[r.Name] = r
	}
	return append(blockingListRows(forms), blockingZSetRows(forms)...)
}

// nameOf returns the name of a form as effects have it.
func nameOf(form *Row) []byte { return bytes.ToUpper([]byte(form.Name)) }

var doubleTimeout = Change{"6.0.0", "`timeout` is interpreted as a double instead of an integer."}

// popKeys is the key spec of BLPOP and its like.
func popKeys() []KeySpec {
	return []KeySpec{{First: 1, Last: -2, Step: 1, Flags: KeyRW | KeyAccess | KeyDelete}}
}

// BLPOP key [key ...] timeout
// BRPOP key [key ...] timeout
// BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout
// BRPOPLPUSH source destination timeout
// BLMPOP timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]
func blockingListRows(forms map[string]*Row) []*Row {
	flags := Write | NoScript | Blocking
	moved := []KeySpec{
		{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyDelete}, {First: 2, Step: 1, Flags: KeyRW | KeyInsert},
	}
	const moves = "Pop an element from a list, push it to another list and return it; or block until one is available"
	return []*Row{
		{Info: Info{
			Name: "blpop", Arity: -3, Flags: flags, Categories: CatList, Keys: popKeys(), Group: "list",
			Since: "2.0.0", Summary: "Remove and get the first element in a list, or block until one is available",
			Complexity: "O(N) where N is the number of provided keys.", Args: "key* timeout:double",
			History: []Change{doubleTimeout},
		}, WaitsFor: object.List, Run: popOne(forms["lpop"], object.List)},
		{Info: Info{
			Name: "brpop", Arity: -3, Flags: flags, Categories: CatList, Keys: popKeys(), Group: "list",
			Since: "2.0.0", Summary: "Remove and get the last element in a list, or block until one is available",
			Complexity: "O(N) where N is the number of provided keys.", Args: "key* timeout:double",
			History: []Change{doubleTimeout},
		}, WaitsFor: object.List, Run: popOne(forms["rpop"], object.List)},
		{Info: Info{
			Name: "blmove", Arity: 6, Flags: flags | DenyOOM, Categories: CatList, Keys: moved, Group: "list",
			Since: "6.2.0", Summary: moves, Complexity: "O(1)",
			Args: "source:key#0 destination:key#1 wherefrom(LEFT|RIGHT) whereto(LEFT|RIGHT) timeout:double",
		}, WaitsFor: object.List, Run: move(forms["lmove"])},
		{Info: Info{
			Name: "brpoplpush", Arity: 4, Flags: flags | DenyOOM, Categories: CatList, Keys: moved, Group: "list",
			Since: "2.2.0", Summary: moves, Complexity: "O(1)",
			Args:            "source:key#0 destination:key#1 timeout:double",
			History:         []Change{doubleTimeout},
			DeprecatedSince: "6.2.0", ReplacedBy: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
		}, WaitsFor: object.List, Run: move(forms["rpoplpush"])},
		{Info: Info{
			Name: "blmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, Categories: CatList,
			Keys:  []KeySpec{{First: 2, Step: 1, Counted: true, Flags: KeyRW | KeyAccess | KeyDelete}},
			Group: "list", Since: "7.0.0", Summary: "Pop elements from a list, or block until one is available",
			Complexity: "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
			Args:       "timeout:double numkeys:integer key* where(LEFT|RIGHT) count:integer=COUNT?",
		}, WaitsFor: object.List, Run: popMany(forms["lmpop"], object.List, [2]string{"left", "right"})},
	}
}

// BZPOPMIN key [key ...] timeout
// BZPOPMAX key [key ...] timeout
// BZMPOP timeout numkeys key [key ...] MIN|MAX [COUNT count]
func blockingZSetRows(forms map[string]*Row) []*Row {
	flags := Write | NoScript | Blocking | Fast
	pop := func(name, which, form string) *Row {
		return &Row{Info: Info{
			Name: name, Arity: -3, Flags: flags, Categories: CatSortedSet, Keys: popKeys(), Group: "sorted-set",
			Since: "5.0.0", Summary: "Remove and return the member with the " + which + " score from one or more " +
				"sorted sets, or block until one is available",
			Complexity: "O(log(N)) with N being the number of elements in the sorted set.",
			Args:       "key* timeout:double", History: []Change{doubleTimeout},
		}, WaitsFor: object.ZSet, Run: popOne(forms[form], object.ZSet)}
	}
	return []*Row{
		pop("bzpopmin", "lowest", "zpopmin"),
		pop("bzpopmax", "highest", "zpopmax"),
		{Info: Info{
			Name: "bzmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, Categories: CatSortedSet,
			Keys:  []KeySpec{{First: 2, Step: 1, Counted: true, Flags: KeyRW | KeyAccess | KeyDelete}},
			Group: "sorted-set", Since: "7.0.0",
			Summary: "Remove and return members with scores in a sorted set or block until one is available",
			Complexity: "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements " +
				"in the sorted set, and M being the number of elements popped.",
			Args: "timeout:double numkeys:integer key* where(MIN|MAX) count:integer=COUNT?",
		}, WaitsFor: object.ZSet, Run: popMany(forms["zmpop"], object.ZSet, [2]string{"min", "max"})},
	}
}
