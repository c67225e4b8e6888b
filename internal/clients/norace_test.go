//go:build !race

package clients

import "testing"

func skipUnderRace(*testing.T) {}
