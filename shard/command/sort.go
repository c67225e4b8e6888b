package command

import (
	"bytes"
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/object"
)

func sortRows() []*Row {
	const complexity = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number " +
		"of returned elements. When the elements are not sorted, complexity is O(N)."
	const args = "key pattern:pattern#1=BY? offset_count=LIMIT?(offset:integer count:integer) " +
		"pattern:pattern#1=GET?*+ order?(ASC|DESC) sorting:pure-token=ALPHA?"
	const categories = CatSet | CatSortedSet | CatList | CatDangerous
	source := KeySpec{First: 1, Step: 1, Flags: KeyRO | KeyAccess}
	patterns := KeySpec{Unknown: true, Flags: KeyRO | KeyAccess, Notes: "For the optional BY/GET keyword. It is " +
		"marked 'unknown' because the key names derive from the content of the key we sort"}
	destination := KeySpec{Unknown: true, Find: findSortStore, Flags: KeyOW | KeyUpdate, Notes: "For the optional " +
		"STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array"}
	return []*Row{
		{Info: Info{
			Name: "sort", Arity: -2, Flags: Write | DenyOOM | MovableKeys, Categories: categories,
			Keys: []KeySpec{source, patterns, destination}, RouteOf: routeOfSort,
			Group: "generic", Since: "1.0.0", Summary: "Sort the elements in a list, set or sorted set",
			Complexity: complexity, Args: args + " destination:key#2=STORE?",
		}, Run: cmdSort},
		{Info: Info{
			Name: "sort_ro", Arity: -2, Flags: ReadOnly | MovableKeys, Categories: categories,
			Keys: []KeySpec{source, patterns}, RouteOf: routeOfSort,
			Group: "generic", Since: "7.0.0",
			Summary:    "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
			Complexity: complexity, Args: args,
		}, Run: cmdSortRO},
	}
}

// findSortStore appends the position of the destination: that of the last STORE.
func findSortStore(dst []int, args [][]byte) []int {
	n, at := len(dst), 0
	eachSortOption(args, func(option string, i int) {
		if option == "store" {
			at = i
		}
	})
	if at > 0 {
		dst = append(dst[:n], at)
	}
	return dst
}

// routeOfSort asks for all shards if keys are made of the elements: they may be in any.
func routeOfSort(args [][]byte) Route {
	route := RouteKeys
	eachSortOption(args, func(option string, i int) {
		if (option == "by" || option == "get") && hasStar(args[i]) {
			route = RouteAll
		}
	})
	return route
}

// eachSortOption calls fn for each option that has an argument, with the position of that.
func eachSortOption(args [][]byte, fn func(option string, i int)) {
	for i := 2; i < len(args); i++ {
		for _, option := range [...]string{"limit", "get", "by", "store"} {
			if !equalFold(cString(args[i]), option) {
				continue
			}
			if i++; i < len(args) {
				fn(option, i)
			}
			if option == "limit" {
				i++
			}
			break
		}
	}
}

// hasStar tells whether keys of a pattern depend on the element.
func hasStar(pattern []byte) bool { return bytes.IndexByte(cString(pattern), '*') >= 0 }

// sorting is a SORT under way.
type sorting struct {
	c *Ctx

	by           []byte // nil: elements are sorted by themselves
	gets         [][]byte
	start, count int64
	desc, alpha  bool
	natural      bool // not sorted at all
	store        int  // the argument with the destination; 0: none

	items []sortItem
	texts []byte // the elements, and what they are sorted by
	bys   []span // by rank, with ALPHA and BY; of size < 0: there is none
	buf   []byte // names and values of keys
}

// sortItem is an element with what it is sorted by. It has no pointer: items are moved about by the million.
type sortItem struct {
	score   float64
	element span
	rank    int // what equal ones are ordered by
}

// span is a part of a sorting's texts.
type span struct{ at, size int }

// keep copies b, which may not outlive what comes next.
func (s *sorting) keep(b []byte) span {
	at := len(s.texts)
	s.texts = append(s.texts, b...)
	return span{at, len(b)}
}

func (s *sorting) text(p span) []byte { return s.texts[p.at : p.at+p.size : p.at+p.size] }

// SORT key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] [STORE destination]
func cmdSort(c *Ctx) error { return c.sort(true) }

// SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]
func cmdSortRO(c *Ctx) error { return c.sort(false) }

func (c *Ctx) sort(mayStore bool) error {
	s := sorting{c: c, count: -1}
	if err := s.parse(mayStore); err != nil {
		return err
	}
	k := &c.Keys[0]
	v := k.Shard.DB(c.DBID).Value(k.Key, c.NowMs)
	c.count(k, v.Exists())
	if v.Exists() {
		switch v.Type() {
		case object.List, object.Set, object.ZSet:
		default:
			return resp.ErrWrongType
		}
		if s.natural && (s.store > 0 || c.Scripted) && v.Type() == object.Set { // in no certain order
			s.natural, s.alpha, s.by = false, true, nil
		}
		s.load(&v)
	}
	if !s.natural {
		if err := s.weigh(); err != nil {
			return err
		}
		from, to := s.limits(len(s.items))
		if part := to-from < len(s.items); !part || s.bys == nil || sortTies(s.items, from, to, s.order()) != nil {
			sortPart(s.items, from, to, s.strictOrder(), rand.IntN)
		}
		s.items = s.items[from:to]
	}
	if s.store > 0 {
		s.storeItems()
	} else {
		s.reply()
	}
	return nil
}

// parse reads the options. Of those that contradict each other the last one counts, but a BY without a star.
func (s *sorting) parse(mayStore bool) error {
	a := s.c.ArgsFrom(2)
	for a.More() {
		switch {
		case a.Option("asc"):
			s.desc = false
		case a.Option("desc"):
			s.desc = true
		case a.Option("alpha"):
			s.alpha = true
		case a.Left() > 2 && a.Option("limit"):
			s.start, s.count = a.Int(), a.Int()
		case mayStore && a.Left() > 1 && a.Option("store"):
			s.store = a.At()
			a.Bytes()
		case a.Left() > 1 && a.Option("by"):
			s.by = a.Bytes()
			s.natural = s.natural || !hasStar(s.by)
		case a.Left() > 1 && a.Option("get"):
			s.gets = append(s.gets, a.Bytes())
		default:
			a.Syntax()
		}
	}
	return a.Err()
}

// limits returns which of n items are asked for: from … to.
func (s *sorting) limits(n int) (from, to int) {
	from = int(min(max(s.start, 0), int64(n)))
	if s.count < 0 {
		return from, n
	}
	return from, from + int(min(s.count, int64(n-from)))
}

// add copies an element. What is found by a pattern may be past its time, which changes the shard.
func (s *sorting) add(element []byte) {
	s.items = append(s.items, sortItem{element: s.keep(element), rank: len(s.items)})
}

// load copies the elements of the value; if they are not to be sorted, those asked for in their order.
func (s *sorting) load(v *shard.Value) {
	n := s.length(v)
	from, to := 0, n
	if s.natural {
		from, to = s.limits(n)
	}
	s.items = make([]sortItem, 0, to-from)
	if s.natural && v.Type() == object.Set || !s.natural {
		at := 0
		s.each(v, 0, n, false, func(element []byte) {
			if at >= from && at < to {
				s.add(element)
			}
			at++
		})
		return
	}
	s.each(v, from, to-from, s.desc, s.add)
}

// weigh finds what the items are sorted by.
func (s *sorting) weigh() error {
	if s.alpha && s.by == nil {
		return nil
	}
	if s.alpha {
		s.bys = make([]span, 0, len(s.items))
	}
	failed := false
	for i := range s.items {
		it := &s.items[i]
		by, ok := s.text(it.element), true
		if s.by != nil {
			by, ok = s.lookUp(s.by, by)
		}
		switch {
		case s.alpha && ok:
			s.bys = append(s.bys, s.keep(by))
		case s.alpha:
			s.bys = append(s.bys, span{size: -1})
		case ok:
			if it.score, ok = sortScore(by); !ok {
				failed = true
			}
		}
	}
	if failed {
		return resp.ErrSortScores
	}
	return nil
}

// sortScore reads a score as C's strtod does, up to a NUL: without any digits it is 0, and blanks may precede them.
func sortScore(b []byte) (float64, bool) {
	b = cString(b)
	if len(b) == 0 {
		return 0, true
	}
	b = bytes.TrimLeft(b, " \t\n\v\f\r")
	f, ok := resp.ParseFloat(b)
	if ok && f != 0 && math.Abs(f) < smallestNormal && !bytes.ContainsAny(b, "xX") {
		return 0, false // it has lost digits, which is an error here
	}
	return f, ok
}

const smallestNormal = 0x1p-1022

// order returns the order of the items.
func (s *sorting) order() func(a, b sortItem) int {
	compare := s.compareTexts
	switch {
	case !s.alpha:
		compare = s.compareScores
	case s.bys != nil:
		compare = s.compareBys
	}
	if s.desc {
		return func(a, b sortItem) int { return -compare(a, b) }
	}
	return compare
}

// strictOrder returns the order of the items, in which equal ones come as they were found.
func (s *sorting) strictOrder() func(a, b sortItem) int {
	order := s.order()
	return func(a, b sortItem) int { return cmp.Or(order(a, b), cmp.Compare(a.rank, b.rank)) }
}

func (s *sorting) compareScores(a, b sortItem) int {
	switch {
	case a.score < b.score:
		return -1
	case a.score > b.score:
		return 1
	}
	return bytes.Compare(s.text(a.element), s.text(b.element))
}

func (s *sorting) compareBys(a, b sortItem) int {
	x, y := s.bys[a.rank], s.bys[b.rank]
	if x.size < 0 || y.size < 0 {
		return cmp.Compare(min(x.size, 0), min(y.size, 0))
	}
	return s.collate(s.text(x), s.text(y))
}

func (s *sorting) compareTexts(a, b sortItem) int {
	return s.collate(s.text(a.element), s.text(b.element))
}

func (s *sorting) collate(a, b []byte) int {
	if s.store == 0 { // as C's strings, which end at a NUL
		a, b = cString(a), cString(b)
	}
	return bytes.Compare(a, b)
}

// sortPart makes items[from:to] what it would be if all items were sorted. What lies beside them is parted off and left
// as it comes: few out of many cost one pass or two. pick draws one of n, so that no order of the items is a bad one.
func sortPart(items []sortItem, from, to int, compare func(a, b sortItem) int, pick func(n int) int) {
	for to-from < len(items)/2 {
		n := len(items)
		pivot := median(items[pick(n)], items[pick(n)], items[pick(n)], compare)
		mid := 0 // the pivot's place: before it is less, behind it is more
		for i := range items {
			if compare(items[i], pivot) < 0 {
				items[i], items[mid] = items[mid], items[i]
				mid++
			}
		}
		if mid > from && mid < to {
			sortPart(items[:mid], from, mid, compare, pick)
			from = mid
		}
		if to <= mid {
			items = items[:mid]
		} else {
			items, from, to = items[mid:], from-mid, to-mid
		}
	}
	slices.SortFunc(items, compare)
}

// median returns the middle one of three.
func median(a, b, c sortItem, compare func(a, b sortItem) int) sortItem {
	if compare(a, b) > 0 {
		a, b = b, a
	}
	if compare(b, c) <= 0 {
		return b
	}
	if compare(a, c) > 0 {
		return a
	}
	return c
}

// lookUp returns the value that a pattern stands for: the element itself, the string of a key or the field of a hash
// whose names are made of it. It is valid until the next call.
func (s *sorting) lookUp(pattern, element []byte) (val []byte, ok bool) {
	text := cString(pattern)
	if len(text) == 1 && text[0] == '#' {
		return element, true
	}
	star := bytes.IndexByte(text, '*')
	if star < 0 {
		return nil, false
	}
	end, field := len(pattern), []byte(nil)
	if arrow := bytes.Index(text[star+1:], []byte("->")); arrow >= 0 && star+1+arrow+2 < len(text) {
		end = star + 1 + arrow
		field = pattern[end+2:]
	}
	c := s.c
	s.buf = append(append(append(s.buf[:0], pattern[:star]...), element...), pattern[star+1:end]...)
	k := Keyed{Key: c.Set.Key(s.buf), Shard: c.Set.Shards[c.Set.ShardOf(s.buf)]}
	if c.NoTouch {
		k.Shard.Quiet(true)
		defer k.Shard.Quiet(false)
	}
	v := k.Shard.DB(c.DBID).Value(k.Key, c.NowMs)
	c.count(&k, v.Exists())
	switch {
	case !v.Exists():
		return nil, false
	case field != nil:
		return s.field(&v, field)
	case v.Type() != object.String:
		return nil, false
	}
	db := k.Shard.DB(c.DBID)
	if b, ok := db.StringView(v.Entry()); ok {
		return b, true
	}
	return db.AppendString(nil, v.Entry()), true
}

// results calls fn for each result until it returns false: elements, or what is got for them.
func (s *sorting) results(fn func(val []byte, ok bool) bool) {
	for i := range s.items {
		if s.gets == nil && !fn(s.text(s.items[i].element), true) {
			return
		}
		for _, pattern := range s.gets {
			if !fn(s.lookUp(pattern, s.text(s.items[i].element))) {
				return
			}
		}
	}
}

// resultCount returns the number of results.
func (s *sorting) resultCount() int { return len(s.items) * max(len(s.gets), 1) }

func (s *sorting) reply() {
	c := s.c
	c.Array(s.resultCount())
	s.results(func(val []byte, ok bool) bool {
		if ok {
			c.Bulk(val)
		} else {
			c.Null()
		}
		return !c.full()
	})
}

// storeItems puts the results into a list under the destination, in the place of whatever is there. What it is made of
// may be anywhere, so the effect is the list itself.
func (s *sorting) storeItems() {
	c := s.c
	vals := make([][]byte, 0, s.resultCount())
	s.results(func(val []byte, _ bool) bool {
		vals = append(vals, append(make([]byte, 0, len(val)), val...))
		return true
	})
	k := c.keyed(s.store)
	db := k.Shard.DB(c.DBID)
	_, there := db.Look(k.Key, c.NowMs)
	if there {
		db.Delete(k.Key)
		c.Effect(k.Arg, wordDel, k.Key.Bytes)
	}
	c.Int(int64(len(vals)))
	switch c.Dirty += len(vals); {
	case len(vals) > 0:
		c.storeList(k, vals, there)
		c.Notify(k, shard.EventList, "sortstore")
	case there:
		c.Dirty++
		c.Notify(k, shard.EventGeneric, "del")
	}
}

// storeStep is the number of items of one effect.
const storeStep = 1024

// storeList makes a list under a key that isn't there, or no longer: again.
func (c *Ctx) storeList(k *Keyed, vals [][]byte, again bool) {
	l := shard.List{Value: k.Shard.DB(c.DBID).Value(k.Key, c.NowMs), Fill: c.Limits.ListFill}
	if again {
		l.Again()
	}
	for i, n := 0, 0; i < len(vals); i += n {
		// One by one as long as it may be called a listpack: at once they could be too many for one.
		if n = 1; i > 0 && object.Encoding(l.Entry()) != "listpack" {
			n = min(storeStep, len(vals)-i)
		}
		l.Push(false, vals[i:i+n]...)
	}
	if !c.Logging() {
		return
	}
	for part := range slices.Chunk(vals, storeStep) {
		c.Effect(k.Arg, append([][]byte{wordRPush, k.Key.Bytes}, part...)...)
	}
}
