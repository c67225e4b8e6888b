//go:build race

package command

// RaceShare is by how much tests are made smaller under the race detector: most have one goroutine.
const RaceShare = 10
