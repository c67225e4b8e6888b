package geohash

import "math"

const (
	// MaxLon is the greatest longitude in degrees, and its negative the least.
	MaxLon = 180.0
	// MaxLat is the greatest latitude in degrees, and its negative the least.
	MaxLat = 85.05112878

	maxStep = 26
)

// Point is a position in degrees.
type Point struct{ Lon, Lat float64 }

// Valid reports whether a position has a number.
func (p Point) Valid() bool {
	return p.Lon >= -MaxLon && p.Lon <= MaxLon && p.Lat >= -MaxLat && p.Lat <= MaxLat
}

// Number returns the number of a valid position. It is below 2^52, unless a coordinate is the greatest.
func Number(p Point) uint64 { return cellOf(p, maxStep).number() }

// PointOf returns the position that a score stands for. Of a score that is no number of a position it is some valid
// position, the same as in Redis.
func PointOf(score float64) Point {
	c := cellOfNumber(uint64Of(score))
	low, high := c.bounds()
	return Point{
		min(max((low.Lon+high.Lon)/2, -MaxLon), MaxLon),
		min(max((low.Lat+high.Lat)/2, -MaxLat), MaxLat),
	}
}

// uint64Of converts a number as C does on x86, where that says nothing of those that don't fit.
func uint64Of(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(int64Of(f-1<<63)) ^ 1<<63
	}
	return uint64(int64Of(f))
}

func int64Of(f float64) int64 {
	if f >= -1<<63 && f < 1<<63 {
		return int64(f)
	}
	return math.MinInt64
}

// textAlphabet are the digits of a geohash as people write it.
const textAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// AppendText appends the eleven characters of a position's geohash, which has latitudes up to 90 degrees. The last one
// would take more than 52 bits and is 0.
func AppendText(dst []byte, p Point) []byte {
	n := cell{step(p.Lon, MaxLon, maxStep), step(p.Lat, 90, maxStep), maxStep}.number()
	for shift := 47; shift > 0; shift -= 5 {
		dst = append(dst, textAlphabet[n>>shift&0x1F])
	}
	return append(dst, textAlphabet[0])
}

// cell is an area: longitude and latitude in steps of 1/2^steps of their ranges. A coordinate that is the greatest is
// in the step behind the last one.
type cell struct {
	lon, lat uint32
	steps    uint
}

// step returns the step that v is in, of 2^steps from -most to most.
func step(v, most float64, steps uint) uint32 {
	return uint32((v + most) / (2 * most) * float64(uint64(1)<<steps))
}

func cellOf(p Point, steps uint) cell {
	return cell{step(p.Lon, MaxLon, steps), step(p.Lat, MaxLat, steps), steps}
}

// cellOfNumber returns the smallest cell that a number stands for.
func cellOfNumber(n uint64) cell { return cell{squeeze(n >> 1), squeeze(n), maxStep} }

// number returns the number of a cell: its bits interleaved.
func (c cell) number() uint64 { return stretch(c.lon)<<1 | stretch(c.lat) }

// beside returns the cell that is so many further east and north. Ranges go round.
func (c cell) beside(east, north int) cell {
	mask := uint32(1)<<c.steps - 1
	if east != 0 {
		c.lon = (c.lon + uint32(east)) & mask
	}
	if north != 0 {
		c.lat = (c.lat + uint32(north)) & mask
	}
	return c
}

// bounds returns the south-western and the north-eastern corner.
func (c cell) bounds() (low, high Point) {
	all := float64(uint64(1) << c.steps)
	edge := func(i uint64, most float64) float64 { return -most + float64(float64(i)/all*(2*most)) }
	low = Point{edge(uint64(c.lon), MaxLon), edge(uint64(c.lat), MaxLat)}
	high = Point{edge(uint64(c.lon)+1, MaxLon), edge(uint64(c.lat)+1, MaxLat)}
	return low, high
}

// scores returns the numbers of positions in the cell: from the first up to, not including, the second.
func (c cell) scores() (from, to float64) {
	shift := 2 * (maxStep - c.steps)
	n := c.number()
	return float64(n << shift), float64((n + 1) << shift)
}

// stretch puts the bits of x on every other place.
func stretch(x uint32) uint64 {
	w := uint64(x)
	w = (w | w<<16) & 0x0000_FFFF_0000_FFFF
	w = (w | w<<8) & 0x00FF_00FF_00FF_00FF
	w = (w | w<<4) & 0x0F0F_0F0F_0F0F_0F0F
	w = (w | w<<2) & 0x3333_3333_3333_3333
	return (w | w<<1) & 0x5555_5555_5555_5555
}

// squeeze takes every other bit of w.
func squeeze(w uint64) uint32 {
	w &= 0x5555_5555_5555_5555
	w = (w | w>>1) & 0x3333_3333_3333_3333
	w = (w | w>>2) & 0x0F0F_0F0F_0F0F_0F0F
	w = (w | w>>4) & 0x00FF_00FF_00FF_00FF
	w = (w | w>>8) & 0x0000_FFFF_0000_FFFF
	return uint32(w | w>>16)
}
