package main

import (
	"errors"
	"fmt"
	"strconv"

	"fulmen/benchmarks/load"
	"fulmen/internal/resp"
)

const (
	counter = "{sale}:stock"
	// tokenSeconds is the tokens' time to live: longer than any sale.
	tokenSeconds = "3600"
)

// attempt is what a buyer asks for, once or several times.
type attempt struct {
	token  string
	amount int // negative: is given back
}

// answer is what a buyer is told: how much it got (negative: gave back), and what was left then.
type answer struct{ got, left int }

// way is how a buyer asks. ask sends one attempt over the line and reads the answer; an error reply is a *resp.Error.
type way func(b *buyer, a attempt) (answer, error)

// ways are those that promise that a token counts once.
var ways = map[string]way{"take": byTake, "script": byScript}

// byTake asks with TAKE.
func byTake(b *buyer, a attempt) (answer, error) {
	return pair(b.call("TAKE", counter, strconv.Itoa(a.amount), "PARTIAL", "CEILING", strconv.Itoa(b.sale.units),
		"TOKEN", a.token, "EX", tokenSeconds))
}

// byScript asks with EVALSHA, and with EVAL where the server has forgotten the script.
func byScript(b *buyer, a attempt) (answer, error) {
	v, err := b.call("EVALSHA", load.SHA1(load.FlashSale), "2", counter, a.token, strconv.Itoa(a.amount), tokenSeconds)
	var refused *resp.Error
	if errors.As(v.Err(), &refused) && refused.Code == "NOSCRIPT" {
		v, err = b.call("EVAL", load.FlashSale, "2", counter, a.token, strconv.Itoa(a.amount), tokenSeconds)
	}
	return pair(v, err)
}

var errReply = errors.New("a reply that is not two numbers")

// pair reads a reply of two integers.
func pair(v resp.Value, err error) (answer, error) {
	switch {
	case err != nil:
		return answer{}, err
	case v.Err() != nil:
		return answer{}, v.Err()
	case len(v.Elems) != 2 || v.Elems[0].Kind != resp.KindInt || v.Elems[1].Kind != resp.KindInt:
		return answer{}, fmt.Errorf("%w: %v", errReply, v)
	}
	return answer{int(v.Elems[0].Int), int(v.Elems[1].Int)}, nil
}
