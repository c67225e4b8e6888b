package redistest

import (
	"math"
	"strconv"
)

// Positions are the commands of positions, which have keys of their own. The last digit of a distance is a matter of
// the C library: so nothing is stored by distance, and no two members are so nearly as far from a center as each other
// that this digit says which comes first.
func Positions() Grammar {
	geo := func(options ...func(*Gen) string) func(*Gen) []string {
		return func(g *Gen) []string {
			args := keyAnd(options...)(g)
			args[0] = g.geoKey()
			return args
		}
	}
	members := func(g *Gen) []string {
		args := []string{g.geoKey()}
		for range g.rnd.IntN(5) {
			args = append(args, g.geoMember())
		}
		return args
	}
	search := func(g *Gen) []string {
		return append([]string{g.Pick(g.geoKey(), g.geoKey(), g.geoFound())}, g.search()...)
	}
	return Grammar{
		{Name: "geoadd", Weight: 60, Args: func(g *Gen) []string {
			args := append([]string{g.geoKey()}, g.options(8, []string{"nx"}, []string{"xx"}, []string{"ch"})...)
			return append(args, g.positions()...)
		}},
		{Name: "geodist", Weight: 20, Args: func(g *Gen) []string {
			args := []string{g.geoKey(), g.geoMember(), g.geoMember(), g.geoUnit()}
			return args[:3+g.rnd.IntN(2)]
		}},
		{Name: "geohash", Weight: 10, Args: members},
		{Name: "geopos", Weight: 10, Args: members},
		{Name: "geosearch", Weight: 60, Args: func(g *Gen) []string {
			return append(search(g), g.geoReply()...)
		}},
		{Name: "geosearchstore", Weight: 25, Args: func(g *Gen) []string {
			args := append([]string{g.geoFound()}, search(g)...)
			return append(args, g.options(3, g.geoCount(), []string{g.Pick("asc", "desc")})...)
		}},
		{Name: "georadius", Weight: 25, Args: func(g *Gen) []string {
			lon, lat := g.lonLat()
			args := append([]string{g.geoKey(), lon, lat}, g.radius()...)
			return append(append(args, g.geoReply()...), g.geoStore()...)
		}},
		{Name: "georadius_ro", Weight: 10, Args: func(g *Gen) []string {
			lon, lat := g.lonLat()
			return append(append([]string{g.geoKey(), lon, lat}, g.radius()...), g.geoReply()...)
		}},
		{Name: "georadiusbymember", Weight: 25, Args: func(g *Gen) []string {
			args := append([]string{g.geoKey(), g.geoMember()}, g.radius()...)
			return append(append(args, g.geoReply()...), g.geoStore()...)
		}},
		{Name: "georadiusbymember_ro", Weight: 10, Args: func(g *Gen) []string {
			return append(append([]string{g.geoKey(), g.geoMember()}, g.radius()...), g.geoReply()...)
		}},
		{Name: "zrem", Weight: 10, Args: geo((*Gen).geoMember)},
		{Name: "del", Weight: 1, Args: geo()},
		{Name: "zrange", Weight: 5, rigid: true, Args: func(g *Gen) []string {
			return []string{g.geoKey(), "0", "-1", "withscores"}
		}},
		{Name: "set", Weight: 2, rigid: true, Args: func(g *Gen) []string { return []string{"geo9", "string"} }},
	}
}

// AnyScores give members of sorted sets that hold positions scores that are none.
func AnyScores() Grammar {
	return Grammar{{Name: "zadd", Weight: 12, rigid: true, Args: func(g *Gen) []string {
		score := math.Ldexp(g.rnd.Float64()-0.2, 40+g.rnd.IntN(26))
		return []string{g.geoKey(), coordinate(score), g.geoMember()}
	}}}
}

func (g *Gen) geoKey() string {
	if g.Chance(40) {
		return "geo9"
	}
	return "geo" + strconv.Itoa(g.rnd.IntN(4))
}

// geoFound gives a key for what is found.
func (g *Gen) geoFound() string { return "found" + strconv.Itoa(g.rnd.IntN(3)) }

func (g *Gen) geoMember() string { return "p" + strconv.Itoa(g.rnd.IntN(80)) }

func (g *Gen) geoUnit() string {
	return g.Pick("m", "km", "ft", "mi", "M", "Km", "FT", "mI", "cm", "m\x00")
}

// lonLat gives a position: anywhere, near one of a few, at an edge, and some that are none.
func (g *Gen) lonLat() (lon, lat string) {
	switch g.rnd.IntN(12) {
	case 0:
		return g.Pick("-180", "180", "179.999999", "-179.999999", "0", "181", "1e300", "inf", "nan", "x", ""),
			g.Pick("85.05112878", "-85.05112878", "85", "-85", "0", "85.06", "-90", "-inf", "y")
	case 1:
		return coordinate(g.rnd.Float64()*0.1 + 179.9), coordinate(g.rnd.Float64()*160 - 80)
	case 2:
		return coordinate(g.rnd.Float64()*360 - 180), coordinate(84.9 + 0.1*g.rnd.Float64())
	case 3, 4, 5, 6:
		spread := math.Pow(10, -float64(g.rnd.IntN(3)))
		at := float64(g.rnd.IntN(4))
		return coordinate(at*90 - 130 + spread*g.rnd.Float64()), coordinate(at*40 - 55 + spread*g.rnd.Float64())
	}
	return coordinate(g.rnd.Float64()*360 - 180), coordinate(g.rnd.Float64()*170 - 85)
}

func coordinate(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// positions gives positions and members for GEOADD. All valid ones are different.
func (g *Gen) positions() (args []string) {
	for range 1 + g.rnd.IntN(6) {
		lon, lat := g.lonLat()
		if f, err := strconv.ParseFloat(lon, 64); err == nil && (f == 0 || math.Abs(f) > 179.99999) {
			lat = coordinate(g.rnd.Float64()*170 - 85)
		}
		args = append(args, lon, lat, g.geoMember())
	}
	return args
}

// meters gives a length, in any unit.
func (g *Gen) meters() string {
	if g.Chance(15) {
		return g.Pick("0", "-1", "inf", "1e300", "x", "", "nan", "-0", "20015086.79", "20020741.0")
	}
	return strconv.FormatFloat(math.Pow(10, g.rnd.Float64()*7.5), 'g', 12, 64)
}

func (g *Gen) radius() []string { return []string{g.meters(), g.geoUnit()} }

// search gives the center and the shape of GEOSEARCH, at times one too many or too few.
func (g *Gen) search() (args []string) {
	lon, lat := g.lonLat()
	parts := [][]string{
		{g.anyCase("frommember"), g.geoMember()}, {g.anyCase("fromlonlat"), lon, lat},
		{g.anyCase("byradius"), g.meters(), g.geoUnit()}, {g.anyCase("bybox"), g.meters(), g.meters(), g.geoUnit()},
	}
	for i := 0; i < len(parts); i += 2 {
		one := g.rnd.IntN(2)
		args = append(args, parts[i+one]...)
		switch {
		case g.Chance(30):
			args = append(args, parts[i+1-one]...)
		case g.Chance(30):
			args = args[:max(0, len(args)-len(parts[i+one]))]
		}
	}
	return args
}

func (g *Gen) geoCount() []string {
	count := []string{"count", strconv.Itoa(1 + g.rnd.IntN(12))}
	if g.Chance(8) {
		count[1] = g.Pick("0", "-1", g.NoInt(), "9223372036854775807")
	}
	if g.Chance(3) {
		count = append(count, g.anyCase("any"))
	}
	return count
}

// geoReply gives the options of searches that say what is replied.
func (g *Gen) geoReply() []string {
	return g.options(3, []string{"withdist"}, []string{"withcoord"}, []string{"withhash"}, g.geoCount(),
		[]string{g.Pick("asc", "desc")}, g.rarely([]string{g.Pick("any", "store", "byradius", "nope")})[:1])
}

func (g *Gen) geoStore() []string {
	return g.options(6, []string{"store", g.geoFound()}, []string{"store", g.geoFound()})
}
