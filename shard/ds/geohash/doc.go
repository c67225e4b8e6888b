// Package geohash has positions on the earth as numbers that can be ordered, so that what is near each other mostly has
// numbers near each other, and the arithmetic of searches for them. It is what GEOADD and GEOSEARCH do to sorted sets.
//
// # Numbers
//
// Longitude and latitude are cut into 2^26 steps each, and the bits of the two are interleaved, a bit of the longitude
// before one of the latitude: 52 bits, as many as a float64 holds. All numbers that begin with the same 2n bits are a
// cell, an area of 2^-n of both ranges, and they are a range of numbers. A position is that of the middle of its cell
// of 52 bits, some 0.6 m wide. Latitudes end at 85.05112878 degrees, where the map is as high as it is wide.
//
// # Searches
//
// Around a center nine cells, its own and the eight beside that, are as small as they can be so that everything asked
// for lies in them; where the shape ends before a neighbour that is left out. Shape.Areas has their ranges of numbers,
// and Shape.Has says of each position in them whether it is within the shape. The cells are those of Redis, also where
// these miss something near the poles and at the 180th meridian, and in its order, which is that of what is found
// without being sorted.
//
// # Distances
//
// They are those of the haversine formula on a sphere. STOREDIST shows all digits of a distance, and glibc's sin, cos
// and asin are rounded to the nearest number but for one case in five hundred, which Go's are not. So there are two
// ways: one with Go's, fast, within Slack of the truth; and one with sums of two numbers for each, some ten times
// slower, whose functions are rounded to the nearest. The first decides as long as it is not about its last digits.
//
// To the very other side of the earth a distance changes by 0.2 m with the last digit of a sine: there one in a hundred
// or two is not that of a Redis with glibc.
package geohash
