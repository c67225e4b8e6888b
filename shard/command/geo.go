package command

import (
	"math"
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/geohash"
)

// geoPoint reads a position from argument i on.
func (c *Ctx) geoPoint(i int) (p geohash.Point, err error) {
	var ok bool
	if p.Lon, ok = resp.ParseFloat(c.Args[i]); !ok {
		return p, resp.ErrNotFloat
	}
	if p.Lat, ok = resp.ParseFloat(c.Args[i+1]); !ok {
		return p, resp.ErrNotFloat
	}
	if !p.Valid() {
		return p, resp.ErrGeoPair(p.Lon, p.Lat)
	}
	return p, nil
}

// geoUnits are the units of distances in meters.
var geoUnits = [...]struct {
	name   string
	meters float64
}{{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}}

// parseGeoUnit returns how many meters a unit is.
func parseGeoUnit(arg []byte) (meters float64, err error) {
	arg = cString(arg)
	for _, unit := range geoUnits {
		if equalFold(arg, unit.name) {
			return unit.meters, nil
		}
	}
	return 0, resp.ErrGeoUnit
}

// GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...]
func cmdGeoAdd(c *Ctx) error {
	var o zaddOptions
	a := c.ArgsFrom(2)
	for options := true; options; {
		switch {
		case a.Option("nx"):
			o.how |= shard.ZAddNX
		case a.Option("xx"):
			o.how |= shard.ZAddXX
		case a.Option("ch"):
			o.ch = true
		default:
			options = false
		}
	}
	const both = shard.ZAddNX | shard.ZAddXX
	if a.Left() == 0 || a.Left()%3 != 0 || o.how&both == both {
		return resp.ErrSyntax
	}
	first := a.At()
	for i := first; i < len(c.Args); i += 3 {
		if _, err := c.geoPoint(i); err != nil {
			return err
		}
	}
	z, err := c.writeZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	added, updated := 0, 0
	for i := first; i < len(c.Args); i += 3 {
		p, _ := c.geoPoint(i)
		switch what, _ := z.Add(&c.Limits.ZSet, c.Args[i+2], float64(geohash.Number(p)), o.how); what {
		case shard.ZNew:
			added++
		case shard.ZUpdated:
			updated++
		}
	}
	if added+updated > 0 {
		c.Dirty += added + updated
		c.Notify(&c.Keys[0], shard.EventZSet, "zadd")
		c.logGeoAdd(first)
	}
	if o.ch {
		added += updated
	}
	c.Int(int64(added))
	return nil
}

var wordZAdd = []byte("ZADD")

// logGeoAdd logs a GEOADD whose positions begin at an argument as the ZADD that it is.
func (c *Ctx) logGeoAdd(first int) {
	if !c.Logging() {
		c.NoEffect()
		return
	}
	g := c.geo()
	g.words = append(append(g.words[:0], wordZAdd), c.Args[1:first]...)
	c.scratch = c.buffer(len(c.Args) / 3 * maxNumber)[:0] // it must not move: words refer to it
	for i := first; i < len(c.Args); i += 3 {
		p, _ := c.geoPoint(i)
		from := len(c.scratch)
		c.scratch = strconv.AppendUint(c.scratch, geohash.Number(p), 10)
		g.words = append(g.words, c.scratch[from:], c.Args[i+2])
	}
	c.Effect(1, g.words...)
	clear(g.words)
	g.trim()
}

// maxNumber is how many digits a number of 64 bits has at most.
const maxNumber = 20

// GEODIST key member1 member2 [M | KM | FT | MI]
func cmdGeoDist(c *Ctx) error {
	unit := 1.0
	var err error
	switch {
	case len(c.Args) == 5:
		if unit, err = parseGeoUnit(c.Args[4]); err != nil {
			return err
		}
	case len(c.Args) > 5:
		return resp.ErrSyntax
	}
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	one, ok1 := z.Score(c.Args[2])
	other, ok2 := z.Score(c.Args[3])
	if !ok1 || !ok2 {
		c.Null()
		return nil
	}
	from := geohash.From(geohash.PointOf(one))
	to := geohash.PointOf(other)
	c.distance(&from, to, from.Square(to), unit)
	return nil
}

// distance replies the distance to a position with the given square in a unit, with four decimals. Where About doesn't
// settle the last one it is calculated exactly.
func (c *Ctx) distance(from *geohash.Origin, to geohash.Point, square, unit float64) {
	const decimals = 1e4
	var text [32]byte
	d := from.About(to, square) / unit * decimals
	n := math.Floor(d)
	if part := d - n; math.Abs(part-0.5) > 2*geohash.Slack*decimals/unit {
		if part > 0.5 {
			n++
		}
		c.Bulk(appendFourDecimals(text[:0], uint64(n)))
		return
	}
	c.Bulk(strconv.AppendFloat(text[:0], from.Distance(to)/unit, 'f', 4, 64))
}

// appendFourDecimals appends n / 10,000.
func appendFourDecimals(dst []byte, n uint64) []byte {
	dst = strconv.AppendUint(dst, n/10_000, 10)
	part := n % 10_000
	return append(dst, '.', byte('0'+part/1000), byte('0'+part/100%10), byte('0'+part/10%10), byte('0'+part%10))
}

// GEOHASH key member [member ...]
func cmdGeoHash(c *Ctx) error {
	return c.eachPosition(func(p geohash.Point) {
		var text [11]byte
		c.Bulk(geohash.AppendText(text[:0], p))
	}, c.Null)
}

// GEOPOS key member [member ...]
func cmdGeoPos(c *Ctx) error { return c.eachPosition(c.position, c.NullArray) }

// position replies a position.
func (c *Ctx) position(p geohash.Point) {
	c.Array(2)
	c.Out = resp.AppendHumanDouble(c.Out, c.Proto, p.Lon)
	c.Out = resp.AppendHumanDouble(c.Out, c.Proto, p.Lat)
}

// eachPosition replies of each of the call's members what has or lacks does.
func (c *Ctx) eachPosition(has func(p geohash.Point), lacks func()) error {
	z, err := c.readZSet(&c.Keys[0])
	if err != nil {
		return err
	}
	c.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		if score, ok := z.Score(member); ok {
			has(geohash.PointOf(score))
		} else {
			lacks()
		}
	}
	return nil
}
