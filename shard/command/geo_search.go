package command

import (
	"cmp"
	"math"
	"slices"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/geohash"
	"fulmen/shard/object"
)

// geoForm says which of the commands it is that search.
type geoForm uint8

const (
	geoRadius  geoForm = 1 << iota // a circle around a position, which stands first
	geoMember                      // or around a member
	geoFree                        // options say what is searched, and around what
	geoStores                      // what is found is stored, and the destination stands first
	geoNoStore                     // it can't be stored
)

// geoSearch is a call of one of them, and memory that is used from call to call.
type geoSearch struct {
	geoQuery
	areas [9]geohash.Area
	found []geoFound
	kept  bool     // what is found is kept in order, and no more of it than is wanted
	left  bool     // something was left out
	next  geoFound // then: what comes first of that
	names []byte   // members that were found, one after the other
	words [][]byte // of effects
}

// geoQuery is what a call asks for.
type geoQuery struct {
	form    geoForm
	z       shard.ZSet
	shape   geohash.Shape
	from    byte // what the center is: 0 nothing, 'm' a member, 'l' a position
	by      byte // what the shape is: 0 nothing, 'r' a circle, 'b' a rectangle
	coord   bool
	dist    bool
	hash    bool
	any     bool
	desc    bool
	sorts   bool
	count   int64 // 0: all
	store   int   // argument that is the destination, 0: none
	storeBy bool  // by distance
}

// geoFound is a member that was found.
type geoFound struct {
	from, to int // in geoSearch.names
	p        geohash.Point
	score    float64
	square   float64 // geohash.Origin.Square, if it is needed
}

// geo returns the memory for a search.
func (c *Ctx) geo() *geoSearch {
	if c.search == nil {
		c.search = &geoSearch{}
	}
	return c.search
}

// parse reads the arguments. The sorted set is looked up before any of them counts.
func (g *geoSearch) parse(c *Ctx) (err error) {
	source := &c.Keys[0]
	options := 2
	if g.form&geoStores != 0 {
		source, g.store, options = &c.Keys[1], 1, 3
	}
	if err := c.readValue(&g.z.Value, source, object.ZSet); err != nil {
		return err
	}
	switch {
	case g.form&geoRadius != 0:
		if g.shape.Center, err = c.geoPoint(2); err == nil {
			err = g.circle(c.Args[4:])
		}
		options = 6
	case g.form&geoMember != 0:
		if options = 5; g.z.Exists() {
			if err = g.member(c.Args[2]); err == nil {
				err = g.circle(c.Args[3:])
			}
		}
	}
	if err != nil {
		return err
	}
	a := c.ArgsFrom(options)
	for a.More() {
		if !g.replyOption(&a) && !g.storeOption(&a) && !g.shapeOption(c, &a) {
			a.Syntax()
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	return g.check(c)
}

// check refuses options that don't go together, and those that are missing.
func (g *geoSearch) check(c *Ctx) error {
	switch {
	case g.store != 0 && (g.dist || g.hash || g.coord) && g.form&geoStores != 0:
		return resp.ErrGeoStore("GEOSEARCHSTORE")
	case g.store != 0 && (g.dist || g.hash || g.coord):
		return resp.ErrGeoStore("STORE option in GEORADIUS")
	case g.form&geoFree != 0 && g.from == 0:
		return resp.ErrGeoFrom(cString(c.Args[0]))
	case g.form&geoFree != 0 && g.by == 0:
		return resp.ErrGeoBy(cString(c.Args[0]))
	case g.any && g.count == 0:
		return resp.ErrGeoAny
	}
	g.sorts = g.sorts || g.count != 0 && !g.any // the nearest
	return nil
}

// replyOption reads an option that says what is replied, if the next argument is one.
func (g *geoSearch) replyOption(a *Args) bool {
	switch {
	case a.Option("withdist"):
		g.dist = true
	case a.Option("withhash"):
		g.hash = true
	case a.Option("withcoord"):
		g.coord = true
	case a.Option("any"):
		g.any = true
	case a.Option("asc"):
		g.sorts, g.desc = true, false
	case a.Option("desc"):
		g.sorts, g.desc = true, true
	case a.Left() > 1 && a.Option("count"):
		if g.count = a.Int(); g.count <= 0 {
			a.Fail(resp.ErrCountNotPositive)
		}
	default:
		return false
	}
	return true
}

// storeOption reads an option that says where what is found is stored, if the next argument is one.
func (g *geoSearch) storeOption(a *Args) bool {
	mayStore := g.form&(geoFree|geoNoStore) == 0 && a.Left() > 1
	switch {
	case mayStore && a.Option("store"):
		g.storeBy = false
	case mayStore && a.Option("storedist"):
		g.storeBy = true
	case g.form&geoStores != 0 && a.Option("storedist"):
		g.storeBy = true
		return true
	default:
		return false
	}
	g.store = a.At()
	a.Bytes()
	return true
}

// shapeOption reads an option that says what is searched, if the next argument is one.
func (g *geoSearch) shapeOption(c *Ctx, a *Args) bool {
	var err error
	at, n := a.At()+1, 0
	switch left := a.Left(); {
	case g.form&geoFree == 0:
		return false
	case left > 1 && g.from != 'l' && a.Option("frommember"):
		g.from, n = 'm', 1
		if g.z.Exists() {
			err = g.member(c.Args[at])
		}
	case left > 2 && g.from != 'm' && a.Option("fromlonlat"):
		g.from, n = 'l', 2
		g.shape.Center, err = c.geoPoint(at)
	case left > 2 && g.by != 'b' && a.Option("byradius"):
		g.by, n = 'r', 2
		err = g.circle(c.Args[at:])
	case left > 3 && g.by != 'r' && a.Option("bybox"):
		g.by, n = 'b', 3
		err = g.box(c.Args[at:])
	default:
		return false
	}
	if err != nil {
		a.Fail(err)
	}
	for range n {
		a.Bytes()
	}
	return true
}

// member makes the center the position of a member.
func (g *geoSearch) member(name []byte) error {
	score, ok := g.z.Score(name)
	if !ok {
		return resp.ErrGeoMember
	}
	g.shape.Center = geohash.PointOf(score)
	return nil
}

// circle reads a radius and its unit.
func (g *geoSearch) circle(args [][]byte) (err error) {
	radius, ok := resp.ParseFloat(args[0])
	switch {
	case !ok:
		return resp.ErrGeoRadius
	case radius < 0:
		return resp.ErrGeoNegative
	}
	g.shape.Box, g.shape.Radius = false, radius
	g.shape.Unit, err = parseGeoUnit(args[1])
	return err
}

// box reads width, height and their unit.
func (g *geoSearch) box(args [][]byte) (err error) {
	width, ok1 := resp.ParseFloat(args[0])
	height, ok2 := resp.ParseFloat(args[1])
	switch {
	case !ok1:
		return resp.ErrGeoWidth
	case !ok2:
		return resp.ErrGeoHeight
	case width < 0 || height < 0:
		return resp.ErrGeoBox
	}
	g.shape.Box, g.shape.Width, g.shape.Height = true, width, height
	g.shape.Unit, err = parseGeoUnit(args[2])
	return err
}

// run searches, and puts what it finds in order.
func (g *geoSearch) run() {
	g.kept, g.left = g.few(), false
	g.shape.Begin()
	g.collect()
	if g.kept && g.left && g.ambiguous() {
		g.kept, g.found, g.names = false, g.found[:0], g.names[:0]
		g.collect()
	}
	if g.sorts && !g.kept {
		g.sort()
	}
	if g.count > 0 {
		g.found = g.found[:min(int64(len(g.found)), g.count)]
	}
}

// ambiguous tells whether it depends on the algorithm what was kept, or in which order: see geo_sort.go.
func (g *geoSearch) ambiguous() bool {
	for i := range g.found {
		next := &g.next
		if i+1 < len(g.found) {
			next = &g.found[i+1]
		}
		if g.compare(g.found[i], *next) == 0 {
			return true
		}
	}
	return false
}

// collect searches.
func (g *geoSearch) collect() {
	limit := math.MaxInt
	if g.any {
		limit = int(min(g.count, math.MaxInt))
	}
	for _, area := range g.shape.Areas(g.areas[:0]) {
		if len(g.found) >= limit {
			break
		}
		g.z.EachFrom(area.From, func(member []byte, score float64) bool {
			if score >= area.To {
				return false
			}
			p := geohash.PointOf(score)
			square, has := g.shape.Has(p)
			if !has {
				return true
			}
			if g.shape.Box && (g.sorts || g.dist) {
				square = g.shape.Origin().Square(p)
			}
			g.add(member, geoFound{p: p, score: score, square: square})
			return len(g.found) < limit
		})
	}
}

// few tells whether what is wanted is so little that it is kept in order all the while.
func (g *geoSearch) few() bool { return g.sorts && !g.any && g.count > 0 && g.count <= keptInOrder }

// keptInOrder is how many members are.
const keptInOrder = 64

// add notes a member that was found, unless enough are known that come before it.
func (g *geoSearch) add(member []byte, f geoFound) {
	at := len(g.found)
	if g.kept {
		for at > 0 && g.compare(f, g.found[at-1]) < 0 {
			at--
		}
		if at == int(g.count) {
			g.leave(f)
			return
		}
		if last := int(g.count) - 1; len(g.found) > last {
			g.leave(g.found[last])
			g.found = g.found[:last]
		}
	}
	f.from = len(g.names)
	g.names = append(g.names, member...)
	f.to = len(g.names)
	g.found = slices.Insert(g.found, at, f)
}

// leave notes that a member is left out.
func (g *geoSearch) leave(f geoFound) {
	if !g.left || g.compare(f, g.next) < 0 {
		g.left, g.next = true, f
	}
}

// compare orders by distance, as it is asked for.
func (g *geoSearch) compare(a, b geoFound) int {
	if g.desc {
		a, b = b, a
	}
	switch {
	case a.score == b.score:
		return 0
	case !geohash.Near(a.square, b.square):
		return cmp.Compare(a.square, b.square)
	}
	from := g.shape.Origin()
	return cmp.Compare(from.Distance(a.p), from.Distance(b.p))
}

// reply replies what was found.
func (g *geoSearch) reply(c *Ctx) {
	more := count(g.dist, g.hash, g.coord)
	c.Array(len(g.found))
	for i := range g.found {
		f := &g.found[i]
		if more > 0 {
			c.Array(1 + more)
		}
		c.Bulk(g.names[f.from:f.to])
		if g.dist {
			c.distance(g.shape.Origin(), f.p, f.square, g.shape.Unit)
		}
		if g.hash {
			c.Int(int64(f.score))
		}
		if g.coord {
			c.position(f.p)
		}
		if c.full() {
			return
		}
	}
}

// storeFound makes what was found the value of the destination. That is logged as what it is: which members are the
// nearest, and how far they are, another server might see otherwise in the last digit.
func (g *geoSearch) storeFound(c *Ctx) {
	k := c.keyed(g.store)
	db := k.Shard.DB(c.DBID)
	_, there := db.Look(k.Key, c.NowMs)
	var b shard.ZBuild
	db.NewZBuild(&b)
	for i := range g.found {
		f := &g.found[i]
		score := f.score
		if g.storeBy {
			score = g.shape.Origin().Distance(f.p) / g.shape.Unit
		}
		b.Put(g.names[f.from:f.to], score, nil)
		f.score = score
	}
	b.Store(k.Key, &c.Limits.ZSet)
	n := len(g.found)
	c.Int(int64(n))
	if !there && n == 0 {
		return
	}
	switch {
	case n == 0:
		c.Notify(k, shard.EventGeneric, "del")
	case g.form&geoFree != 0:
		c.Notify(k, shard.EventZSet, "geosearchstore")
	default:
		c.Notify(k, shard.EventZSet, "georadiusstore")
	}
	c.Dirty += max(n, 1)
	if there {
		c.Effect(k.Arg, wordDel, k.Key.Bytes)
	}
	for part := range slices.Chunk(g.found, storeStep) {
		g.logFound(c, k, part)
	}
}

// logFound logs members that were stored.
func (g *geoSearch) logFound(c *Ctx, k *Keyed, part []geoFound) {
	if !c.Logging() {
		c.NoEffect()
		return
	}
	g.words = append(g.words[:0], wordZAdd, k.Key.Bytes)
	c.scratch = c.buffer(len(part) * scoreText)[:0] // it must not move: words refer to it
	for i := range part {
		from := len(c.scratch)
		c.scratch = resp.FormatDouble(c.scratch, part[i].score)
		g.words = append(g.words, c.scratch[from:], g.names[part[i].from:part[i].to])
	}
	c.Effect(k.Arg, g.words...)
	clear(g.words)
}

// scoreText is how many bytes a score has as text at most.
const scoreText = 32

// trim lets go of memory that a big call took.
func (g *geoSearch) trim() {
	g.z = shard.ZSet{}
	if cap(g.found) > keptFound || cap(g.names) > keptReply {
		g.found, g.names = nil, nil
	}
	if cap(g.words) > keptFound {
		g.words = nil
	}
}

// keptFound is for how many members that were found memory is kept.
const keptFound = 1024

func (c *Ctx) geoSearch(form geoForm) error {
	g := c.geo()
	g.geoQuery = geoQuery{form: form}
	defer g.trim()
	if err := g.parse(c); err != nil {
		return err
	}
	g.found, g.names = g.found[:0], g.names[:0]
	if g.z.Exists() {
		g.run()
	}
	if g.store != 0 {
		g.storeFound(c)
	} else {
		g.reply(c)
	}
	return nil
}

// GEORADIUS key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
// [ASC | DESC] [STORE key] [STOREDIST key]
func cmdGeoRadius(c *Ctx) error { return c.geoSearch(geoRadius) }

// GEORADIUS_RO key longitude latitude radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
// [ASC | DESC]
func cmdGeoRadiusRO(c *Ctx) error { return c.geoSearch(geoRadius | geoNoStore) }

// GEORADIUSBYMEMBER key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
// [ASC | DESC] [STORE key] [STOREDIST key]
func cmdGeoRadiusByMember(c *Ctx) error { return c.geoSearch(geoMember) }

// GEORADIUSBYMEMBER_RO key member radius <M | KM | FT | MI> [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count [ANY]]
// [ASC | DESC]
func cmdGeoRadiusByMemberRO(c *Ctx) error { return c.geoSearch(geoMember | geoNoStore) }

// GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius <M | KM | FT | MI> | BYBOX width
// height <M | KM | FT | MI> [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
func cmdGeoSearch(c *Ctx) error { return c.geoSearch(geoFree) }

// GEOSEARCHSTORE destination source FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius
// <M | KM | FT | MI> | BYBOX width height <M | KM | FT | MI> [ASC | DESC] [COUNT count [ANY]] [STOREDIST]
func cmdGeoSearchStore(c *Ctx) error { return c.geoSearch(geoFree | geoStores) }
