//go:build race

package aof

// raceShare is by how much tests are made smaller under the race detector: a prime, so that what is left out is not
// always of the same kind.
const raceShare = 11
