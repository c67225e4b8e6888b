package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/need"
	"fulmen/internal/resp"
)

// program is built from this tree.
var program need.Server

// TestMain removes the program that was built.
func TestMain(m *testing.M) {
	code := m.Run()
	program.Remove()
	os.Exit(code)
}

// small is a sale that takes a second or two.
func small(t *testing.T, args ...string) options {
	t.Helper()
	o, err := parse(append([]string{
		"-units", "3000", "-buyers", "60", "-kills", "3", "-timeout", "1m", "-bin", filepath.Dir(program.Path(t)),
	}, args...), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestSale sells everything once, whatever the policy, also with the classic script; with it redis-server does so, too,
// under always: under everysec it answers before it writes while a sync is under way.
func TestSale(t *testing.T) {
	need.Program(t, "redis-server")
	for _, args := range [][]string{
		{"-appendfsync", "always", "-replica", "redis"}, {"-appendfsync", "everysec"}, {"-appendfsync", "no"},
		{"-appendfsync", "everysec", "-replica", "fulmen", "-failovers", "3"},
		{"-way", "script", "-appendfsync", "everysec", "-replica", "redis"},
		{"-server", "redis", "-way", "script", "-appendfsync", "always"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			var out strings.Builder
			if err := run(t.Context(), small(t, args...), &out); err != nil {
				t.Fatal(err)
			}
			t.Log(out.String())
		})
	}
}

// TestFaultsAreNoticed plants faults that each let the sale end otherwise than exactly.
func TestFaultsAreNoticed(t *testing.T) {
	for _, f := range []struct {
		name string
		ask  way
		args []string // of the server
		want string   // what is said of it
	}{
		{"the token is noted apart from the counter", tornWay, nil, "units"},
		{"a token is not noted", forgetfulWay, nil, "answered with"},
		{"what was read is written back", staleWay, nil, "seen twice or never"},
		{"replies leave without a log", nil, []string{"--appendonly", "no"}, "not two numbers"},
	} {
		t.Run(f.name, func(t *testing.T) {
			o := small(t, "-appendfsync", "no")
			if o.args = f.args; f.ask != nil {
				o.ask = f.ask
			}
			var err error
			noticed := func() bool { return err != nil && strings.Contains(err.Error(), f.want) }
			for range 5 { // who is in time to see it, and what is seen first, is a matter of luck
				if err = run(t.Context(), o, io.Discard); noticed() {
					break
				}
				o.seed++
			}
			if !noticed() {
				t.Fatalf("noticed: %v", err)
			}
			t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
		})
	}
}

// one reads a reply of a number or of a text that is one; seen is false for null.
func one(v resp.Value, err error) (n int, seen bool, _ error) {
	switch {
	case err != nil:
		return 0, false, err
	case v.Err() != nil:
		return 0, false, v.Err()
	case v.Null:
		return 0, false, nil
	case v.Kind == resp.KindInt:
		return int(v.Int), true, nil
	}
	n, err = strconv.Atoi(string(v.Str))
	return n, true, err
}

// tornWay takes in one commit and notes the token in the next.
func tornWay(b *buyer, a attempt) (answer, error) {
	v, err := b.call("GET", a.token)
	if err != nil || v.Err() != nil {
		return answer{}, errors.Join(err, v.Err())
	}
	if !v.Null {
		var seen answer
		_, err := fmt.Sscan(string(v.Str), &seen.got, &seen.left)
		return seen, err
	}
	got, err := pair(b.call("TAKE", counter, strconv.Itoa(a.amount), "PARTIAL"))
	if err == nil {
		_, err = b.call("SET", a.token, fmt.Sprint(got.got, " ", got.left), "EX", tokenSeconds)
	}
	return got, err
}

// forgetfulWay takes without a token.
func forgetfulWay(b *buyer, a attempt) (answer, error) {
	return pair(b.call("TAKE", counter, strconv.Itoa(a.amount), "PARTIAL"))
}

// staleWay notes a token, but now and then others may change the counter between its reading and its writing.
func staleWay(b *buyer, a attempt) (answer, error) {
	if !strings.HasSuffix(a.token, "7") {
		return byTake(b, a)
	}
	if seen, ok, err := one(b.call("GET", a.token)); ok || err != nil {
		return answer{seen % 10, seen / 10}, err
	}
	left, _, err := one(b.call("GET", counter))
	if err != nil {
		return answer{}, err
	}
	got := answer{max(min(a.amount, left), 0), 0}
	got.left = left - got.got
	if _, err := b.call("MULTI"); err != nil {
		return got, err
	}
	for _, args := range [][]string{
		{"SET", counter, strconv.Itoa(got.left)},
		{"SET", a.token, strconv.Itoa(got.left*10 + got.got), "EX", tokenSeconds},
		{"EXEC"},
	} {
		if v, err := b.call(args...); err != nil || v.Err() != nil {
			return got, errors.Join(err, v.Err())
		}
	}
	return got, nil
}

func TestChain(t *testing.T) {
	for _, c := range []struct {
		answers []answer
		sound   bool
	}{
		{[]answer{{3, 2}, {2, 0}, {0, 0}}, true},
		{[]answer{{0, 0}, {4, 0}, {2, 3}, {-1, 4}}, true},
		{[]answer{{3, 2}}, false},
		{[]answer{{3, 2}, {3, 2}, {2, 0}}, false},
		{[]answer{{3, 2}, {1, 1}, {2, 0}}, false},
		{nil, false},
	} {
		if err := chain(c.answers, 5); (err == nil) != c.sound {
			t.Errorf("%v: %v", c.answers, err)
		}
	}
}

func TestParse(t *testing.T) {
	o, err := parse(nil, io.Discard)
	if err != nil || o.units != 100_000 || o.buyers != 1_000 || o.timeout != 5*time.Minute || o.ask == nil {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{
		"-way other", "word", "-units 0", "-buyers -1", "-kills -1", "-failovers 1", "-frobnicate",
	} {
		if _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	o.server = "nobody"
	if err := run(t.Context(), o, io.Discard); err == nil {
		t.Error("nobody sells")
	}
}
