package geohash

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func randomPoint(rnd *rand.Rand) Point {
	return Point{(rnd.Float64()*2 - 1) * MaxLon, (rnd.Float64()*2 - 1) * MaxLat}
}

func TestNumbers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		p := randomPoint(rnd)
		n := Number(p)
		if n >= 1<<52 {
			t.Fatalf("%v has the number %x", p, n)
		}
		got := PointOf(float64(n))
		if math.Abs(got.Lon-p.Lon) > MaxLon/(1<<26) || math.Abs(got.Lat-p.Lat) > MaxLat/(1<<26) {
			t.Fatalf("%v becomes %v", p, got)
		}
		if Number(got) != n {
			t.Fatalf("%v has the number %x, its middle %v %x", p, n, got, Number(got))
		}
	}
}

func TestEdges(t *testing.T) {
	for _, c := range []struct {
		p Point
		n uint64
	}{
		{Point{-MaxLon, -MaxLat}, 0},
		{Point{0, 0}, 0b11 << 50},
		{Point{MaxLon, -MaxLat}, 1 << 53},
		{Point{-MaxLon, MaxLat}, 1 << 52},
	} {
		if got := Number(c.p); got != c.n {
			t.Errorf("%v: %x, want %x", c.p, got, c.n)
		}
	}
	for _, score := range []float64{
		-1, 0.5, math.Inf(1), math.Inf(-1), 1e300, -1e300, 1 << 53, 1 << 63, 1 << 64, math.MaxFloat64,
	} {
		if p := PointOf(score); !p.Valid() {
			t.Errorf("%g is %v", score, p)
		}
	}
	for _, p := range []Point{{180.1, 0}, {-180.1, 0}, {0, 85.06}, {0, -85.06}, {math.NaN(), 0}, {0, math.NaN()}} {
		if p.Valid() {
			t.Errorf("%v is valid", p)
		}
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		p    Point
		want string
	}{{Point{-5.6, 42.6}, "ezs42"}, {Point{10.40744, 57.64911}, "u4pruydqqv"}, {Point{-180, -85}, "00"}} {
		got := string(AppendText(nil, c.p))
		if len(got) != 11 || got[:len(c.want)] != c.want || got[10] != '0' {
			t.Errorf("%v: %s, want %s…", c.p, got, c.want)
		}
	}
}

// exactSine returns the sine of x to 200 bits, by its series.
func exactSine(x float64) *big.Float {
	return seriesOf(x, new(big.Float).SetPrec(300).SetFloat64(x), 1)
}

// exactCosine returns the cosine.
func exactCosine(x float64) *big.Float { return seriesOf(x, big.NewFloat(1).SetPrec(300), 0) }

// seriesOf sums up terms from the given one on, each of which is the last but one times -x²/(n+1)(n+2).
func seriesOf(x float64, term *big.Float, n int64) *big.Float {
	sum := new(big.Float).SetPrec(300)
	z := new(big.Float).SetPrec(300).SetFloat64(x)
	z.Mul(z, z).Neg(z)
	for ; n < 90; n += 2 {
		sum.Add(sum, term)
		term.Mul(term, z)
		term.Quo(term, new(big.Float).SetPrec(300).SetInt64((n+1)*(n+2)))
	}
	return sum
}

func TestFunctionsAreRoundedToTheNearest(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for range 3000 {
		x := (rnd.Float64()*2 - 1) * math.Pi * math.Pow(10, -float64(rnd.IntN(8)))
		sine, cosine := sineCosine(x)
		if want, _ := exactSine(x).Float64(); sine.hi != want {
			t.Errorf("the sine of %v is %v, want %v", x, sine.hi, want)
		}
		if want, _ := exactCosine(x).Float64(); cosine.hi != want {
			t.Errorf("the cosine of %v is %v, want %v", x, cosine.hi, want)
		}
		y := rnd.Float64() * math.Pow(10, -float64(rnd.IntN(8)))
		if rnd.IntN(4) == 0 {
			y = 1 - y
		}
		// The arcsine of y is a if the sines of the middles between a and its neighbours have y between them.
		a := arcsine(y)
		low, high := middle(math.Nextafter(a, 0), a), middle(a, math.Nextafter(a, 2))
		exact := new(big.Float).SetFloat64(y)
		if a < 1.57 && (sineOf(low).Cmp(exact) > 0 || sineOf(high).Cmp(exact) < 0) {
			t.Errorf("the arcsine of %v is not %v", y, a)
		}
	}
	if arcsine(0) != 0 || arcsine(1) != math.Pi/2 || !math.IsNaN(arcsine(1.1)) || !math.IsNaN(arcsine(math.NaN())) {
		t.Error("arcsines at the edges")
	}
}

func middle(a, b float64) *big.Float {
	m := new(big.Float).SetPrec(300).SetFloat64(a)
	m.Add(m, new(big.Float).SetFloat64(b))
	return m.Quo(m, big.NewFloat(2))
}

// sineOf is exactSine of a number with more bits.
func sineOf(x *big.Float) *big.Float {
	sum, term := new(big.Float).SetPrec(300), new(big.Float).SetPrec(300).Set(x)
	z := new(big.Float).SetPrec(300).Mul(x, x)
	z.Neg(z)
	for n := int64(1); n < 90; n += 2 {
		sum.Add(sum, term)
		term.Mul(term, z)
		term.Quo(term, new(big.Float).SetPrec(300).SetInt64((n+1)*(n+2)))
	}
	return sum
}

// TestAbout: the fast distance is as near to the exact one as it promises, which is what decides.
func TestAbout(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	for range 20_000 {
		o := From(randomPoint(rnd))
		spread := math.Pow(10, -float64(rnd.IntN(8)))
		p := Point{o.Lon + (rnd.Float64()*2-1)*spread, o.Lat + (rnd.Float64()*2-1)*spread}
		if rnd.IntN(2) == 0 {
			p = randomPoint(rnd)
		}
		if got, want := o.About(p, o.Square(p)), o.Distance(p); math.Abs(got-want) > Slack/2 {
			t.Fatalf("from %v to %v it is %v, about %v", o.Point, p, want, got)
		}
	}
	o := From(Point{13.361389, 38.115556})
	if d := o.Distance(Point{15.087269, 37.502669}); math.Abs(d-166274.1516) > 1 {
		t.Errorf("from Palermo to Catania it is %v", d)
	}
	if d := o.Distance(o.Point); d != 0 {
		t.Errorf("from Palermo to Palermo it is %v", d)
	}
}

// TestHas compares it with distances, also where these are the very edge of the shape.
func TestHas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	in, edges := 0, 0
	for range 20_000 {
		center, p := randomPoint(rnd), randomPoint(rnd)
		if rnd.IntN(2) == 0 {
			p = Point{center.Lon + rnd.Float64() - 0.5, center.Lat + rnd.Float64()*0.01}
		}
		o, po := From(center), From(p)
		s := Shape{Center: center, Unit: 1, Radius: o.Distance(p), Box: rnd.IntN(2) == 0}
		s.Width, s.Height = 2*po.Distance(Point{center.Lon, p.Lat}), 2*po.Distance(Point{p.Lon, center.Lat})
		edge := rnd.IntN(2) == 0
		if !edge {
			s.Radius *= rnd.Float64() * 2
			s.Width, s.Height = s.Width*rnd.Float64()*2, s.Height*rnd.Float64()*2
		} else if rnd.IntN(2) == 0 { // not quite
			s.Radius = math.Nextafter(s.Radius, 0)
			s.Width = math.Nextafter(s.Width, 0)
			edges++
		}
		want := o.Distance(p) <= s.Radius
		if s.Box {
			want = po.Distance(Point{center.Lon, p.Lat}) <= s.Width/2 &&
				po.Distance(Point{p.Lon, center.Lat}) <= s.Height/2
		}
		s.Begin()
		if _, got := s.Has(p); got != want {
			t.Fatalf("%+v has %v: %v, want %v", s, p, got, want)
		}
		if want {
			in++
		}
	}
	if in < 5000 || edges < 3000 {
		t.Errorf("%d are within the shape, %d just not", in, edges)
	}
}

func has(s *Shape, p Point) bool {
	_, has := s.Has(p)
	return has
}

// TestAreas: what is within a circle, or a rectangle, far from poles and from the 180th meridian lies in the areas, and
// these don't overlap.
func TestAreas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	found := 0
	for range 3000 {
		size := math.Pow(10, rnd.Float64()*6)
		s := Shape{
			Center: Point{rnd.Float64()*200 - 100, rnd.Float64()*100 - 50}, Unit: 1, Box: rnd.IntN(2) == 0,
			Radius: size, Width: size, Height: size * rnd.Float64(),
		}
		s.Begin()
		areas := s.Areas(nil)
		for i, a := range areas {
			for _, b := range areas[:i] {
				if a.From < b.To && b.From < a.To {
					t.Fatalf("%+v: areas overlap", s)
				}
			}
		}
		for range 20 {
			spread := size / 100_000
			p := Point{s.Center.Lon + (rnd.Float64()*2-1)*spread, s.Center.Lat + (rnd.Float64()*2-1)*spread}
			if p = PointOf(float64(Number(p))); !has(&s, p) {
				continue
			}
			found++
			n, in := float64(Number(p)), false
			for _, a := range areas {
				in = in || n >= a.From && n < a.To
			}
			if !in {
				t.Fatalf("%+v: %v is not in its areas", s, p)
			}
		}
	}
	if found < 10_000 {
		t.Errorf("only %d positions were within a shape", found)
	}
}

func TestCells(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	for range 1000 {
		c := cellOf(randomPoint(rnd), uint(1+rnd.IntN(maxStep)))
		if around := c.beside(1, 0).beside(0, 1).beside(-1, -1); around != c {
			t.Fatalf("%+v becomes %+v", c, around)
		}
		from, to := c.scores()
		for _, score := range []float64{from, to - 1} {
			p := PointOf(score)
			if cellOf(p, c.steps) != c {
				t.Fatalf("%v of %+v is elsewhere", p, c)
			}
		}
	}
	if w := uint32(0xDEADBEEF); squeeze(stretch(w)) != w || squeeze(stretch(w)<<1) != 0 {
		t.Error("bits are not interleaved")
	}
}

// FuzzShape: whatever is searched, areas are few, and nothing panics.
func FuzzShape(f *testing.F) {
	f.Add(0.0, 0.0, 1.0, 1.0, 1.0, 0.0, true)
	f.Add(180.0, 85.05112878, math.Inf(1), 1e300, 0.0, -1.0, false)
	f.Fuzz(func(t *testing.T, lon, lat, a, b, unit, score float64, box bool) {
		a, b = math.Abs(a), math.Abs(b)
		s := Shape{Center: Point{lon, lat}, Box: box, Radius: a, Width: a, Height: b, Unit: unit}
		if !s.Center.Valid() || unit <= 0 || math.IsNaN(a+b+unit) {
			return
		}
		s.Begin()
		if n := len(s.Areas(nil)); n < 1 || n > 9 {
			t.Fatalf("%d areas", n)
		}
		p := PointOf(score)
		s.Has(p)
		s.Origin().About(p, s.Origin().Square(p))
	})
}

func BenchmarkAbout(b *testing.B) {
	o, p := From(Point{13, 38}), Point{15, 37}
	for b.Loop() {
		o.About(p, o.Square(p))
	}
}

func BenchmarkDistance(b *testing.B) {
	o, p := From(Point{13, 38}), Point{15, 37}
	for b.Loop() {
		o.Distance(p)
	}
}

func BenchmarkHas(b *testing.B) {
	s := Shape{Center: Point{13, 38}, Radius: 200, Unit: 1000}
	s.Begin()
	n := float64(Number(Point{14, 38.5}))
	for b.Loop() {
		s.Has(PointOf(n))
	}
}
