package geohash

import "math"

const (
	// EarthRadius is the radius of the sphere in meters.
	EarthRadius = 6372797.560856
	// Slack is by how many meters Origin.About may be wrong.
	Slack = 1e-7

	// relativeSlack is by how much of itself a square may be wrong.
	relativeSlack = 1e-14
	radian        = float64(math.Pi) / 180
)

// Origin is where distances are measured from.
type Origin struct {
	Point
	lat, lon, cos float64 // radians
}

// From returns the origin at a position.
func From(p Point) Origin {
	lat := p.Lat * radian
	return Origin{p, lat, p.Lon * radian, math.Cos(lat)}
}

// Square returns the square of the sine of half the angle between the origin and a position, which orders positions by
// their distance: see Near.
func (o *Origin) Square(p Point) float64 {
	lat := p.Lat * radian
	u, v := math.Sin((lat-o.lat)/2), math.Sin((p.Lon*radian-o.lon)/2)
	return float64(u*u) + float64(o.cos*math.Cos(lat)*v*v)
}

// Near reports whether two squares are so near each other that only Distance can tell which position is further away.
func Near(a, b float64) bool { return math.Abs(a-b) <= relativeSlack*b }

// About returns the distance in meters to a position with the given square, give or take Slack.
func (o *Origin) About(p Point, square float64) float64 {
	if square < 0.5 {
		return 2 * EarthRadius * math.Asin(math.Sqrt(square))
	}
	return o.Distance(p)
}

// Distance returns the distance to a position in meters, rounded as Redis calculates it. It may be no number for the
// very other side of the earth.
func (o *Origin) Distance(p Point) float64 {
	lat := p.Lat * radian
	u, _ := sineCosine((lat - o.lat) / 2)
	v, _ := sineCosine((p.Lon*radian - o.lon) / 2)
	_, cos1 := sineCosine(o.lat)
	_, cos2 := sineCosine(lat)
	a := float64(u.hi*u.hi) + float64(cos1.hi*cos2.hi*v.hi*v.hi)
	return 2 * EarthRadius * arcsine(math.Sqrt(a))
}
