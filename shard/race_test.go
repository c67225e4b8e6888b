//go:build race

package shard

// raceShare is by how much tests are made smaller under the race detector.
const raceShare = 10
