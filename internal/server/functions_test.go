package server

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// transferLibrary is a library whose function takes from one account and gives to another: to one that is declared, or
// to one that isn't.
func transferLibrary(declared bool) string {
	from, to := "keys[1]", "keys[2]"
	if !declared {
		to = "args[2]"
	}
	return fmt.Sprintf("#!lua name=bank\nredis.register_function('transfer', function(keys, args)\n"+
		"redis.call('decrby', %s, args[1]) redis.call('incrby', %s, args[1]) return 1 end)\n"+
		"redis.register_function('sum', function(keys)\nlocal n = 0\n"+
		"for _, k in ipairs(keys) do n = n + redis.call('get', k) end return n end)", from, to)
}

// TestFunctionsAreReplacedWhileCalled: calls of a function that is replaced all the time, by one that needs all shards
// and back, are whole, on whichever loop they run, also in transactions: the sum over all accounts stays.
func TestFunctionsAreReplacedWhileCalled(t *testing.T) {
	srv, log := startLogged(t, "--shards", "8", "--event-loops", "4")
	main := dial(t, srv.Addr())
	const accounts, each = 20, 1000
	sum := []string{"FCALL", "sum", strconv.Itoa(accounts)}
	for i := range accounts {
		name := "account" + strconv.Itoa(i)
		main.do("SET", name, strconv.Itoa(each))
		sum = append(sum, name)
	}
	wantReply(t, main, "bank", "FUNCTION", "LOAD", transferLibrary(true))
	var callers sync.WaitGroup
	over := make(chan struct{})
	for i := range 6 {
		c := dial(t, srv.Addr())
		callers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 8))
			for range 1500 / proofShare {
				call := []string{"FCALL", "transfer", "2", "account" + strconv.Itoa(r.IntN(accounts)),
					"account" + strconv.Itoa(r.IntN(accounts)), strconv.Itoa(r.IntN(100)),
					"account" + strconv.Itoa(r.IntN(accounts))}
				if r.IntN(4) == 0 {
					c.do("MULTI")
					c.do(call...)
					c.do(call...)
					call = []string{"EXEC"}
				}
				if got := c.do(call...); strings.Contains(got, "-") && !strings.Contains(got, "TRYAGAIN") {
					t.Errorf("%q: %s", call, got)
					return
				}
			}
		})
	}
	var replacing sync.WaitGroup
	replacing.Go(func() {
		c, changes := dial(t, srv.Addr()), 0
		for ; ; changes++ {
			select {
			case <-over:
				if changes < 20 {
					t.Errorf("only %d changes", changes)
				}
				return
			default:
			}
			if got := c.do("FUNCTION", "LOAD", "REPLACE", transferLibrary(changes%2 == 0)); got != "bank" {
				t.Error(got)
				return
			}
			if got := c.do(sum...); got != strconv.Itoa(accounts*each) && !strings.HasPrefix(got, "-TRYAGAIN") {
				t.Errorf("the sum is %s", got)
				return
			}
		}
	})
	callers.Wait()
	close(over)
	replacing.Wait()
	wantReply(t, main, strconv.Itoa(accounts*each), sum...)
	log.wantLogged(t, 0, "BUG")
}

// TestQueuedFunctionIsReplaced: a transaction takes the batons of what its functions touch when it is executed, not
// when they were queued.
func TestQueuedFunctionIsReplaced(t *testing.T) {
	srv := startServer(t, "--shards", "8")
	c, other := dial(t, srv.Addr()), dial(t, srv.Addr())
	wantReply(t, c, "lib", "FUNCTION", "LOAD",
		"#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('get', keys[1]) end)")
	for i := range 20 {
		key := "other" + strconv.Itoa(i)
		wantReply(t, c, "OK", "MULTI")
		wantReply(t, c, "QUEUED", "FCALL", "f", "1", "k")
		wantReply(t, other, "lib", "FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\n"+
			"redis.register_function('f', function(keys) return redis.call('incr', '"+key+"') end)")
		wantReply(t, c, "[1]", "EXEC")
		wantReply(t, other, "lib", "FUNCTION", "LOAD", "REPLACE",
			"#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('get', keys[1]) end)")
	}
}

// TestLibraryVariables: what a library keeps in a variable of its own is there in the next call on the same loop.
func TestLibraryVariables(t *testing.T) {
	srv := startServer(t, "--event-loops", "1")
	c := dial(t, srv.Addr())
	wantReply(t, c, "lib", "FUNCTION", "LOAD",
		"#!lua name=lib\nlocal n = 0\nredis.register_function('next', function() n = n + 1 return n end)")
	for i := range 3 {
		wantReply(t, c, strconv.Itoa(i+1), "FCALL", "next", "0")
	}
	wantReply(t, c, "lib", "FUNCTION", "LOAD", "REPLACE",
		"#!lua name=lib\nlocal n = 0\nredis.register_function('next', function() n = n + 1 return n end)")
	wantReply(t, c, "1", "FCALL", "next", "0")
}
