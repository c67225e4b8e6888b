//go:build race

package clients

import "testing"

// skipUnderRace skips a test in which nothing of the server is under the race detector.
func skipUnderRace(t *testing.T) {
	t.Skip("the server is a process of its own, without the race detector")
}
