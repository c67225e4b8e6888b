//go:build race

package reactor

// raceEnabled says that the race detector is on: loops are then shorter.
const raceEnabled = true
