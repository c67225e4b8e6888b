package command_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"fulmen/internal/redistest"
)

// TestDiffPositions compares the replies to random commands on positions, and all that they store, with redis-server's.
func TestDiffPositions(t *testing.T) {
	for _, shards := range []int{1, 8} {
		t.Run(strconv.Itoa(shards), func(t *testing.T) {
			grammar := append(redistest.Positions(), redistest.AnyScores()...)
			redistest.Diff(t, redistest.Redis(), fulmen(shards), grammar)
		})
		t.Run(strconv.Itoa(shards)+" tiny", func(t *testing.T) {
			redistest.Diff(t, redistest.Redis(redistest.TinyLimits()...), tinyFulmen(shards), redistest.Positions())
		})
	}
}

// TestStoredDistances compares distances that are stored, to the last digit: where the C library rounds to the nearest,
// which it mostly does, they are the same.
func TestStoredDistances(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	add := []string{"GEOADD", "k"}
	const members = 2000
	for i := range members {
		spread := math.Pow(10, -float64(i%4))
		lon, lat := 13+(rnd.Float64()*2-1)*100*spread, 38+(rnd.Float64()*2-1)*40*spread
		add = append(add, fmt.Sprint(lon), fmt.Sprint(lat), "m"+strconv.Itoa(i))
	}
	var scores [2]map[string]float64
	for i, addr := range []string{redistest.StartOracle(t).Addr, fulmen(2).Start(t)} {
		c, err := redistest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		scores[i] = map[string]float64{}
		for _, args := range [][]string{
			add,
			{"GEOSEARCHSTORE", "d", "k", "FROMLONLAT", "13.361389", "38.115556", "BYRADIUS", "1e9", "m", "STOREDIST"},
			{"ZRANGE", "d", "0", "-1", "WITHSCORES"},
		} {
			v, err := c.Do(args...)
			if err != nil || v.Err() != nil {
				t.Fatal(v, err)
			}
			for j := 0; j+1 < len(v.Elems); j += 2 {
				f, err := strconv.ParseFloat(string(v.Elems[j+1].Str), 64)
				if err != nil {
					t.Fatal(err)
				}
				scores[i][string(v.Elems[j].Str)] = f
			}
		}
	}
	equal := 0
	for member, want := range scores[0] {
		got, ok := scores[1][member]
		if !ok || math.Abs(got-want) > 1e-14*want {
			t.Fatalf("%s: %v, want %v", member, got, want)
		}
		if got == want {
			equal++
		}
	}
	if len(scores[0]) != members || equal < members*95/100 {
		t.Errorf("of %d distances %d are equal to the last digit", len(scores[0]), equal)
	}
	t.Logf("%d of %d are equal", equal, members)
}

// TestEqualDistances searches for a few of many members at few places: which of those at the same distance are found,
// and in which order, is as with redis-server.
func TestEqualDistances(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 4))
	var conns [2]*redistest.Conn
	for i, addr := range []string{redistest.StartOracle(t).Addr, fulmen(2).Start(t)} {
		c, err := redistest.Dial(addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	same := func(args ...string) {
		t.Helper()
		var replies [2]string
		for i, c := range conns {
			v, err := c.Do(args...)
			if err != nil || v.Err() != nil {
				t.Fatal(args, v.Err(), err)
			}
			replies[i] = v.String()
		}
		if replies[0] != replies[1] {
			t.Fatalf("%q: %s, want %s", args, replies[1], replies[0])
		}
	}
	for round := range 150 {
		places := 1 + rnd.IntN(1+round)
		add := []string{"GEOADD", "k"}
		for i := range 1 + rnd.IntN(400) {
			place := rnd.IntN(places)
			lon, lat := 13+float64(place%7)/10, 38+float64(place/7)/10
			add = append(add, fmt.Sprint(lon), fmt.Sprint(lat), "m"+strconv.Itoa(i))
		}
		same("DEL", "k")
		same(add...)
		for range 20 {
			count := strconv.Itoa(1 + rnd.IntN([]int{3, 20, 100, 400}[rnd.IntN(4)]))
			search := []string{"FROMLONLAT", "13.2", "38.1", "BYRADIUS", strconv.Itoa(rnd.IntN(300)), "km"}
			if rnd.IntN(3) == 0 {
				search = []string{"FROMMEMBER", "m0", "BYBOX", strconv.Itoa(rnd.IntN(300)), "90", "km"}
			}
			search = append(search, "COUNT", count)
			if rnd.IntN(2) == 0 {
				search = append(search, []string{"ASC", "DESC"}[rnd.IntN(2)])
			}
			same(append([]string{"GEOSEARCH", "k"}, search...)...)
			same(append([]string{"GEOSEARCHSTORE", "d", "k"}, search...)...)
			same("ZRANGE", "d", "0", "-1", "WITHSCORES")
		}
	}
}
