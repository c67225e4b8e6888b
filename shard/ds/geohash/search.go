package geohash

import "math"

// Shape is a circle or a rectangle around a center.
type Shape struct {
	Center Point
	// Box: it is a rectangle.
	Box bool
	// Radius, or width and height, in units of so many meters.
	Radius, Width, Height, Unit float64

	origin Origin
	most   float64 // the greatest of Origin.Square within the circle; of a longitude within the rectangle
	lat    float64 // the greatest difference of latitudes in radians
}

// Area is a range of numbers: from the first up to, not including, the second.
type Area struct{ From, To float64 }

// mercatorMax is half the length of the equator on the map in meters.
const mercatorMax = 20037726.37

// stepsFor returns in how many steps cells are small enough that nine of them just hold everything within a radius in
// meters, at a latitude: they become narrower towards the poles.
func stepsFor(radius, lat float64) uint {
	if radius == 0 {
		return maxStep
	}
	steps := -1
	for ; radius < mercatorMax; radius *= 2 {
		steps++
	}
	if lat = math.Abs(lat); lat > 66 {
		steps--
	}
	if lat > 80 {
		steps--
	}
	return uint(min(max(steps, 1), maxStep))
}

// bounds returns the corners of a rectangle around the shape.
func (s *Shape) bounds() (low, high Point) {
	height, width := s.Unit*s.Radius, s.Unit*s.Radius
	if s.Box {
		height, width = s.Unit*(s.Height/2), s.Unit*(s.Width/2)
	}
	lat := height / EarthRadius / radian
	// The side of the rectangle that is nearer to a pole is the longer one in degrees.
	edge := s.Center.Lat + lat
	if s.Center.Lat < 0 {
		edge = s.Center.Lat - lat
	}
	lon := width / EarthRadius / math.Cos(edge*radian) / radian
	return Point{s.Center.Lon - lon, s.Center.Lat - lat}, Point{s.Center.Lon + lon, s.Center.Lat + lat}
}

// radius returns the distance of the furthest point in meters.
func (s *Shape) radius() float64 {
	if s.Box {
		w, h := s.Width/2, s.Height/2
		return math.Sqrt(float64(w*w)+float64(h*h)) * s.Unit
	}
	return s.Radius * s.Unit
}

// directions are the nine cells in the order in which they are searched.
var directions = [9]struct{ east, north int }{
	{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1},
}

// Areas appends the ranges of numbers in which everything within the shape lies to dst, at most nine.
func (s *Shape) Areas(dst []Area) []Area {
	low, high := s.bounds()
	c := cellOf(s.Center, stepsFor(s.radius(), s.Center.Lat))
	if c.steps > 1 && c.tooSmall(low, high) {
		c = cellOf(s.Center, c.steps-1)
	}
	southWest, northEast := c.bounds()
	large := c.steps >= 2 // of less, those beside it may be the same on both sides
	var last cell
	for i, d := range directions {
		switch {
		case d.north < 0 && large && southWest.Lat < low.Lat, d.north > 0 && large && northEast.Lat > high.Lat,
			d.east < 0 && large && southWest.Lon < low.Lon, d.east > 0 && large && northEast.Lon > high.Lon:
			continue
		}
		beside := c.beside(d.east, d.north)
		if i > 0 && beside == last {
			continue
		}
		if last = beside; i == 0 {
			last = cell{}
		}
		from, to := beside.scores()
		dst = append(dst, Area{from, to})
	}
	return dst
}

// tooSmall reports whether the cells around c end before the corners.
func (c cell) tooSmall(low, high Point) bool {
	_, north := c.beside(0, 1).bounds()
	south, _ := c.beside(0, -1).bounds()
	_, east := c.beside(1, 0).bounds()
	west, _ := c.beside(-1, 0).bounds()
	return north.Lat < high.Lat || south.Lat > low.Lat || east.Lon < high.Lon || west.Lon > low.Lon
}

// Begin prepares for Has, once all else of the shape is set.
func (s *Shape) Begin() {
	s.origin = From(s.Center)
	if s.Box {
		s.most, s.lat = greatestSquare(s.Width*s.Unit/2), s.Height*s.Unit/2/EarthRadius
	} else {
		s.most, s.lat = greatestSquare(s.Radius*s.Unit), s.Radius*s.Unit/EarthRadius
	}
}

// greatestSquare returns the square of the sine of half the angle that a distance in meters is.
func greatestSquare(distance float64) float64 {
	angle := distance / (2 * EarthRadius)
	if angle >= math.Pi/2 {
		return math.Inf(1)
	}
	sine := math.Sin(angle)
	return sine * sine
}

// Origin returns the center.
func (s *Shape) Origin() *Origin { return &s.origin }

// Has reports whether a position is within the shape, and its square from the center if it is within a circle.
func (s *Shape) Has(p Point) (square float64, has bool) {
	const latSlack = 4 * Slack / EarthRadius
	lat := math.Abs(p.Lat*radian - s.origin.lat)
	if lat > s.lat+latSlack {
		return 0, false
	}
	if s.Box {
		return 0, s.boxHas(p, lat > s.lat-latSlack)
	}
	square = s.origin.Square(p)
	if s.most <= 1 && Near(square, s.most) {
		return square, !(s.origin.Distance(p) > s.Radius*s.Unit)
	}
	return square, square < s.most
}

// boxHas is Has for a rectangle and a position that is not too far north or south; doubt: or that is not certain.
func (s *Shape) boxHas(p Point, doubt bool) bool {
	if doubt {
		if from := From(p); from.Distance(Point{p.Lon, s.Center.Lat}) > s.Height*s.Unit/2 {
			return false
		}
	}
	cos, sine := math.Cos(p.Lat*radian), math.Sin((p.Lon*radian-s.origin.lon)/2)
	a := float64(cos * cos * sine * sine)
	if s.most <= 1 && Near(a, s.most) {
		from := From(p)
		return !(from.Distance(Point{s.Center.Lon, p.Lat}) > s.Width*s.Unit/2)
	}
	return a < s.most
}
