package script

import "testing"

// TestRandomsAreOneSequence has the scripts of two states draw in turns what one redis-server's scripts would, and a
// script with a seed of its own between them.
func TestRandomsAreOneSequence(t *testing.T) {
	e := NewEngine(noRows, Limits{})
	states := []*Runner{e.NewRunner(newFakeHost()), e.NewRunner(newFakeHost())}
	draw := func(i int, prepare string) string {
		return runLibs(t, states[i%2], prepare+` return {tostring(math.random(1, 1000000))}`)[0]
	}
	var inTurns, alone []string
	for i := range 4 {
		inTurns = append(inTurns, draw(i, ""))
		if got := draw(i, "math.randomseed(5)"); got != "524840" {
			t.Errorf("with the seed 5 a script draws %s first", got)
		}
	}
	conn := dialOracle(t)
	for range 4 {
		const script = `return {tostring(math.random(1, 1000000))}`
		reply, err := conn.Do("EVAL", script, "0")
		if err != nil {
			t.Fatal(err)
		}
		alone = append(alone, texts(t, reply, script)[0])
	}
	for i, want := range alone {
		if inTurns[i] != want {
			t.Errorf("number %d is %s, a redis-server's %s", i+1, inTurns[i], want)
		}
	}
}
