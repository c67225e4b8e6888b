//go:build race

package redistest

// raceShare is by how much streams are made shorter under the race detector.
const raceShare = 4
