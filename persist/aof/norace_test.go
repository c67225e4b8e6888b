//go:build !race

package aof

// raceShare is by how much tests are made smaller under the race detector.
const raceShare = 1
