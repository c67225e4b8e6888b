package command

import (
	"bytes"
	"math"
	"strconv"

	"github.com/zeebo/xxh3"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// TAKE is a command beyond Redis: a counter with bounds that is never oversold, and whose callers may ask again.
// take.md says what it does, in which form tokens are kept, and why.

// maxToken is the length in bytes of the longest token's value: two numbers and a digest.
const maxToken = 2*maxIntText + 2 + digestLen

// Words of TAKE's effects.
var (
	wordDecrBy = []byte("DECRBY")
	wordIncrBy = []byte("INCRBY")
)

func takeRows() []*Row {
	return []*Row{{Info: Info{
		Name: "take", Arity: -3, Flags: Write | DenyOOM | Module | Fast | MovableKeys, Categories: CatString,
		Keys: []KeySpec{
			{First: 1, Step: 1, Flags: KeyRW | KeyAccess | KeyUpdate},
			{First: 3, Step: 1, Keyword: "TOKEN", Find: findTakeToken, Flags: KeyRW | KeyAccess | KeyInsert},
		},
		Group: "string", Since: "0.1.0",
		Summary:    "Take an amount from a counter within bounds, once for each token, or give it back",
		Complexity: "O(1)",
		Args: "key amount:integer floor:integer=FLOOR? ceiling:integer=CEILING? step:integer=STEP? PARTIAL? " +
			"idempotency?(token:key#1=TOKEN expiration(seconds:integer=EX|milliseconds:integer=PX|" +
			"unix-time-seconds:unix-time=EXAT|unix-time-milliseconds:unix-time=PXAT))",
	}, Run: cmdTake}}
}

// findTakeToken finds the token's key.
func findTakeToken(dst []int, args [][]byte) []int {
	for i := 3; i+1 < len(args); i += 2 {
		switch word := cString(args[i]); {
		case equalFold(word, "token"):
			return append(dst, i+1)
		case equalFold(word, "partial"):
			i--
		}
	}
	return dst
}

// take is what a call of TAKE asks for.
type take struct {
	amount               int64 // negative: it is given back
	floor, ceiling, step int64
	partial              bool

	token  int             // the argument that is the token's key; 0: there is none
	atMs   int64           // when the token expires
	digest [digestLen]byte // of the counter's key and the above
}

// taken is the answer to a call: what was taken and what the counter has left. none: there is no counter.
type taken struct {
	amount, left int64
	none         bool
}

// parse reads a call's arguments.
func (t *take) parse(c *Ctx) error {
	t.ceiling, t.step = math.MaxInt64, 1
	var o stringOptions
	a := c.ArgsFrom(2)
	t.amount = a.Int()
	for a.More() {
		switch {
		case a.Option("floor"):
			t.floor = a.Int()
		case a.Option("ceiling"):
			t.ceiling = a.Int()
		case a.Option("step"):
			t.step = a.Int()
		case a.Option("partial"):
			t.partial = true
		case t.token == 0 && a.Option("token"):
			t.token = a.At()
			a.Bytes()
		case !o.parseExpire(&a):
			a.Syntax()
		}
	}
	switch {
	case a.Err() != nil:
		return a.Err()
	case t.amount == math.MinInt64:
		return resp.ErrDecrOverflow
	case t.step <= 0:
		return resp.ErrTakeStep
	case t.amount%t.step != 0:
		return resp.ErrTakeMultiple
	case t.floor > t.ceiling:
		return resp.ErrTakeBounds
	case t.token == 0 && o.has != 0:
		return resp.ErrSyntax
	case t.token == 0:
		return nil
	case o.has == 0:
		return resp.ErrTakeNoExpire
	case bytes.Equal(c.Args[t.token], c.Args[1]):
		return resp.ErrTakeSameKey
	}
	var err error
	t.atMs, err = o.expireAt(c)
	t.sum(c)
	return err
}

// sum makes the digest: by it a retry is told from another call with the same token. It is kept in snapshots and logs,
// so what it is made of must not change.
func (t *take) sum(c *Ctx) {
	b := c.scratch[:0]
	for _, n := range [...]int64{t.amount, t.floor, t.ceiling, t.step} {
		b = append(strconv.AppendInt(b, n, 10), ' ')
	}
	b = append(strconv.AppendBool(b, t.partial), ' ')
	b = strconv.AppendUint(b, xxh3.Hash(c.Args[1]), 10)
	c.scratch = b
	appendSum(t.digest[:0], xxh3.Hash(b))
}

// grant returns how much of the amount the bounds allow while the counter stands at count. Only the bound that the
// counter moves towards counts.
func (t *take) grant(count int64) int64 {
	room, amount := uint64(0), uint64(t.amount)
	back := t.amount < 0
	switch {
	case back:
		amount = -amount
		if count < t.ceiling {
			room = uint64(t.ceiling) - uint64(count) // also where the difference is no int64
		}
	case count > t.floor:
		room = uint64(count) - uint64(t.floor)
	}
	if amount > room {
		if !t.partial {
			return 0
		}
		amount = room - room%uint64(t.step)
	}
	if back {
		return -int64(amount)
	}
	return int64(amount)
}

// TAKE key amount [FLOOR floor] [CEILING ceiling] [STEP step] [PARTIAL] [TOKEN token EX seconds | PX milliseconds |
// EXAT unix-time-seconds | PXAT unix-time-milliseconds]
func cmdTake(c *Ctx) error {
	var t take
	if err := t.parse(c); err != nil {
		return err
	}
	if t.token != 0 {
		answer, ok, err := c.answered(&t)
		switch {
		case err != nil:
			return err
		case ok:
			c.replyTaken(answer)
			return nil
		case t.atMs <= c.NowMs: // it may have been used: nobody knows any more
			return resp.ErrTokenExpired
		}
	}
	answer, err := c.take(&t)
	if err != nil {
		return err
	}
	if t.token != 0 {
		c.keepAnswer(&t, answer)
	}
	c.replyTaken(answer)
	return nil
}

func (c *Ctx) replyTaken(a taken) {
	if a.none {
		c.NullArray()
		return
	}
	c.Array(2)
	c.Int(a.amount)
	c.Int(a.left)
}

// take does what the call asks for to its counter. Nothing is logged but what stock servers know.
func (c *Ctx) take(t *take) (a taken, err error) {
	k := &c.Keys[0]
	db := k.Shard.DB(c.DBID)
	e, ok := db.Look(k.Key, c.NowMs)
	if !ok {
		return taken{none: true}, nil
	}
	text, err := c.shortString(db, e, maxIntText)
	if err != nil {
		return a, err
	}
	count, ok := resp.ParseInt(text)
	if !ok {
		return a, resp.ErrNotInteger
	}
	a.amount = t.grant(count)
	a.left = count - a.amount
	if a.amount == 0 {
		k.Shard.Touch(e)
		return a, nil
	}
	db.SetString(k.Key, c.number(a.left), e.ExpireAt())
	c.Notify(k, shard.EventString, "incrby")
	c.Dirty++
	switch {
	case !c.Logging():
	case a.amount > 0:
		c.Effect(k.Arg, wordDecrBy, k.Key.Bytes, c.number(a.amount))
	default:
		c.Effect(k.Arg, wordIncrBy, k.Key.Bytes, c.number(-a.amount))
	}
	return a, nil
}

// answered returns the answer that the call's token has got before; ok is false if it is new.
func (c *Ctx) answered(t *take) (a taken, ok bool, err error) {
	k := c.keyed(t.token)
	db := k.Shard.DB(c.DBID)
	e, ok := db.Get(k.Key, c.NowMs)
	if !ok {
		return a, false, nil
	}
	text, err := c.shortString(db, e, maxToken)
	if err != nil {
		return a, false, err
	}
	amount, text, _ := bytes.Cut(text, wordSpace)
	left, digest, _ := bytes.Cut(text, wordSpace)
	if a.none = string(amount) == "-" && string(left) == "-"; !a.none {
		var isInt bool
		a.amount, ok = resp.ParseInt(amount)
		a.left, isInt = resp.ParseInt(left)
		ok = ok && isInt
	}
	switch {
	case !ok || len(digest) != digestLen:
		return a, false, resp.ErrNotToken
	case string(digest) != string(t.digest[:]):
		return a, false, resp.ErrTokenUsed
	}
	return a, true, nil
}

var wordSpace = []byte(" ")

// keepAnswer makes the answer the value of the call's token.
func (c *Ctx) keepAnswer(t *take, a taken) {
	b := c.scratch[:0]
	if a.none {
		b = append(b, "- - "...)
	} else {
		b = append(strconv.AppendInt(b, a.amount, 10), ' ')
		b = append(strconv.AppendInt(b, a.left, 10), ' ')
	}
	b = append(b, t.digest[:]...)
	n := len(b)
	b = strconv.AppendInt(b, t.atMs, 10)
	c.scratch = b
	k := c.keyed(t.token)
	c.setString(k, b[:n], t.atMs, true)
	c.Dirty++
	if c.Logging() {
		c.Effect(k.Arg, wordSet, k.Key.Bytes, b[:n], wordPXAT, b[n:])
	}
}
