package command

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// takeModel is what TAKE should do, in numbers without bounds and with tokens that know their whole call.
type takeModel struct {
	nowMs    int64
	counters map[string]takeCounter
	tokens   map[string]takeToken
}

type takeCounter struct{ n, untilMs int64 }

// takeToken is a token that was used.
type takeToken struct {
	call, answer string
	untilMs      int64
}

// takeCall is a call of the model.
type takeCall struct {
	key                          string
	amount, floor, ceiling, step int64
	partial                      bool
	token                        string
	atMs                         int64
}

func (c *takeCall) text() string {
	return fmt.Sprint(c.key, c.amount, c.floor, c.ceiling, c.step, c.partial)
}

// expire forgets what has expired.
func (m *takeModel) expire() {
	for key, c := range m.counters {
		if c.untilMs > 0 && c.untilMs < m.nowMs {
			delete(m.counters, key)
		}
	}
	for key, t := range m.tokens {
		if t.untilMs < m.nowMs {
			delete(m.tokens, key)
		}
	}
}

// run does a call and gives its reply.
func (m *takeModel) run(c *takeCall) string {
	m.expire()
	if c.token != "" {
		if t, ok := m.tokens[c.token]; ok {
			if t.call != c.text() {
				return "BADTOKEN Token was used with other arguments."
			}
			return t.answer
		}
		if c.atMs <= m.nowMs {
			return "BADTOKEN Token has expired, it is unknown whether it was used."
		}
	}
	answer := m.answer(c)
	if c.token != "" {
		m.tokens[c.token] = takeToken{c.text(), answer, c.atMs}
	}
	return answer
}

// answer counts down, or up, in single steps as long as the bounds allow; where that would take too long, by division.
func (m *takeModel) answer(c *takeCall) string {
	counter, ok := m.counters[c.key]
	if !ok {
		return "nil"
	}
	count, step := big.NewInt(counter.n), big.NewInt(c.step)
	room := new(big.Int).Sub(count, big.NewInt(c.floor))
	amount := big.NewInt(c.amount)
	if c.amount < 0 {
		room.Sub(big.NewInt(c.ceiling), count)
		amount.Neg(amount)
	}
	steps := new(big.Int).Quo(amount, step)
	if most := new(big.Int).Quo(room, step); room.Sign() <= 0 {
		steps.SetInt64(0)
	} else if most.Cmp(steps) < 0 {
		if steps = most; !c.partial {
			steps.SetInt64(0)
		}
	}
	taken := steps.Mul(steps, step)
	if c.amount < 0 {
		taken.Neg(taken)
	}
	counter.n = count.Sub(count, taken).Int64()
	m.counters[c.key] = counter
	return fmt.Sprintf("[%v %d]", taken, counter.n)
}

// takeGen makes random calls.
type takeGen struct{ commandGen }

func (g takeGen) number() int64 {
	switch g.IntN(8) {
	case 0:
		return []int64{math.MaxInt64, math.MinInt64, math.MaxInt64 - 5, math.MinInt64 + 7}[g.IntN(4)]
	case 1, 2:
		return int64(g.IntN(200)) - 100
	}
	return int64(g.IntN(12))
}

// call makes a call that is right but for its token, and its words.
func (g takeGen) call(m *takeModel) (c takeCall, words []string) {
	c = takeCall{key: "{t}c" + strconv.Itoa(g.IntN(4)), ceiling: math.MaxInt64, step: 1}
	if g.IntN(3) == 0 {
		c.key = c.key[3:]
	}
	options := [][]string{}
	if g.IntN(3) == 0 {
		c.step = 1 + int64(g.IntN(4))
		options = append(options, []string{"STEP", strconv.FormatInt(c.step, 10)})
	}
	for c.amount = math.MinInt64; c.amount == math.MinInt64; {
		c.amount = g.number()
		if g.IntN(3) == 0 && c.amount != math.MinInt64 {
			c.amount = -c.amount
		}
		c.amount -= c.amount % c.step
	}
	if g.IntN(2) == 0 {
		c.floor = g.number()
		options = append(options, []string{"FLOOR", strconv.FormatInt(c.floor, 10)})
	}
	if g.IntN(2) == 0 || c.floor > c.ceiling {
		c.ceiling = max(g.number(), c.floor)
		options = append(options, []string{"CEILING", strconv.FormatInt(c.ceiling, 10)})
	}
	if g.IntN(2) == 0 {
		c.partial = true
		options = append(options, []string{g.pick("PARTIAL", "partial")})
	}
	if g.IntN(3) > 0 {
		c.token = g.pick("{t}", "") + "token" + strconv.Itoa(g.IntN(40))
		options = append(options, []string{"TOKEN", c.token}, g.expiry(m.nowMs, &c.atMs))
	}
	g.Shuffle(len(options), func(i, j int) { options[i], options[j] = options[j], options[i] })
	return c, append([]string{"TAKE", c.key, strconv.FormatInt(c.amount, 10)}, slices.Concat(options...)...)
}

// expiry gives an option and the time that it names.
func (g takeGen) expiry(nowMs int64, atMs *int64) []string {
	ms := 1 + int64(g.IntN(9000))
	switch g.IntN(4) {
	case 0:
		*atMs = nowMs + (ms/1000+1)*1000
		return []string{"EX", strconv.FormatInt(ms/1000+1, 10)}
	case 1:
		*atMs = nowMs + ms
		return []string{"PX", strconv.FormatInt(ms, 10)}
	case 2:
		*atMs = (nowMs/1000 + ms/1000 - 2) * 1000
		return []string{"EXAT", strconv.FormatInt(*atMs/1000, 10)}
	}
	*atMs = nowMs + ms - 2000
	return []string{"PXAT", strconv.FormatInt(*atMs, 10)}
}

// TestTakeModel compares random calls of TAKE, counters that come, go and expire, and retries at random times with the
// model, and what the log of it all makes in other shards with what it made here.
func TestTakeModel(t *testing.T) {
	for seed, shards := range []int{1, 8} {
		h, replica := newHarness(t, shards), newHarness(t, 8/shards)
		next := h.follow()
		m := &takeModel{testNowMs, map[string]takeCounter{}, map[string]takeToken{}}
		g := takeGen{commandGen{rand.New(rand.NewPCG(uint64(seed), 10))}}
		var calls []takeCall
		var sent [][]string
		granted := 0
		for i := range 30_000 / RaceShare {
			switch g.IntN(10) {
			case 0:
				h.now.Advance(time.Duration(g.IntN(800)) * time.Millisecond)
				m.nowMs = h.now.NowMs()
			case 1:
				m.expire()
				key, c := g.pick("{t}", "")+"c"+strconv.Itoa(g.IntN(4)), takeCounter{n: g.number()}
				set := []string{"SET", key, strconv.FormatInt(c.n, 10)}
				if g.IntN(3) == 0 {
					c.untilMs = m.nowMs + int64(g.IntN(3000)) + 1
					set = append(set, "PXAT", strconv.FormatInt(c.untilMs, 10))
				}
				m.counters[key] = c
				h.expect("OK", set...)
			case 2, 3, 4:
				if len(calls) == 0 {
					break
				}
				k := max(0, len(calls)-1-g.IntN(30))
				h.expect(m.run(&calls[k]), sent[k]...)
			default:
				c, words := g.call(m)
				if words = slices.Clone(words); slices.Contains(words, "EX") || slices.Contains(words, "PX") {
					words = absolute(words, c.atMs)
				}
				calls, sent = append(calls, c), append(sent, words)
				want := m.run(&c)
				if strings.HasPrefix(want, "[") && !strings.HasPrefix(want, "[0 ") {
					granted++
				}
				h.expect(want, words...)
			}
			if t.Failed() {
				t.FailNow()
			}
			if i%100 == 99 {
				replayTakes(t, h, replica, next())
			}
		}
		if granted < 2000/RaceShare {
			t.Errorf("only %d calls were granted something", granted)
		}
	}
}

// absolute replaces a time from now by the time that it is, so that a retry means the same.
func absolute(words []string, atMs int64) []string {
	for i, w := range words {
		if w == "EX" || w == "PX" {
			words[i], words[i+1] = "PXAT", strconv.FormatInt(atMs, 10)
		}
	}
	return words
}

// replayTakes gives the replica what was logged, nothing of which may be new to a stock server, and compares the keys.
func replayTakes(t *testing.T, h, replica *harness, records []string) {
	t.Helper()
	for _, r := range records {
		switch words := strings.Split(r, "\x1f"); words[0] {
		case "SELECT", "MULTI", "EXEC":
		case "SET", "DEL", "INCRBY", "DECRBY":
			if reply := replica.call(bytesOf(words)); reply[0] == '-' {
				t.Fatalf("%q: %s", words, reply)
			}
		default:
			t.Fatalf("%q is logged", words)
		}
	}
	want, got := h.dump(0), replica.dump(0)
	for key, val := range want {
		if got[key] != val {
			t.Fatalf("%s: replayed %q, want %q", key, got[key], val)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d keys replayed, want %d", len(got), len(want))
	}
}

// TestTakeIsOneTransaction: in one shard, as over several, what a call with a token changes comes between MULTI and
// EXEC.
func TestTakeIsOneTransaction(t *testing.T) {
	for _, token := range []string{"{stock}t", "other"} {
		h := newHarness(t, 8)
		next := h.follow()
		h.do("SET", "stock", "5")
		next()
		h.expect("[2 3]", "TAKE", "stock", "2", "TOKEN", token, "EX", "100")
		records := next()
		if len(records) < 4 || records[0] != "MULTI" || records[len(records)-1] != "EXEC" {
			t.Errorf("token %s: logs %q", token, records)
		}
		h.expect("[2 3]", "TAKE", "stock", "2", "TOKEN", token, "EX", "100")
		h.expect("[0 3]", "TAKE", "stock", "5")
		if records := next(); len(records) > 0 {
			t.Errorf("token %s: a retry and a refusal log %q", token, records)
		}
	}
}

// TestTakeEvents: events are those of the commands that replicas get.
func TestTakeEvents(t *testing.T) {
	h := newHarness(t, 8)
	heard := &hearing{}
	h.set.Listen(heard)
	h.set.SetEvents(shard.EventKeyspace | shard.EventsAll)
	h.do("SET", "stock", "5")
	heard.take()
	for _, c := range []struct {
		command string
		want    []string
	}{
		{"TAKE stock 2", []string{`incrby "stock" in 0`}},
		{"TAKE stock -1", []string{`incrby "stock" in 0`}},
		{"TAKE stock 9", nil},
		{"TAKE stock 0", nil},
		{"TAKE none 1", nil},
		{"TAKE stock 1 TOKEN t EX 9", []string{`incrby "stock" in 0`, `set "t" in 0`, `expire "t" in 0`}},
		{"TAKE stock 1 TOKEN t EX 9", nil},
		{"TAKE stock 9 TOKEN u EX 9", []string{`set "u" in 0`, `expire "u" in 0`}},
	} {
		h.do(strings.Fields(c.command)...)
		if got := heard.take(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.command, got, c.want)
		}
	}
}

// TestTakeDigestStays: snapshots and logs have digests in them.
func TestTakeDigestStays(t *testing.T) {
	h := newHarness(t, 1)
	h.do("SET", "stock", "100")
	h.do("TAKE", "stock", "6", "FLOOR", "-1", "CEILING", "1000", "STEP", "3", "PARTIAL", "TOKEN", "t", "EX", "9")
	h.expect("6 94 e507df0460ef850c", "GET", "t")
	h.do("TAKE", "none", "6", "TOKEN", "u", "EX", "9")
	h.expect("- - fdc94adcdd759398", "GET", "u")
}

// TestTakeReplies: the same in both protocols but for the null.
func TestTakeReplies(t *testing.T) {
	h := newHarness(t, 1)
	h.do("SET", "stock", "100")
	for proto, null := range map[int]string{2: "*-1\r\n", 3: "_\r\n"} {
		h.ctx.Proto = proto
		if got := string(h.call(bytesOf([]string{"TAKE", "none", "1"}))); got != null {
			t.Errorf("RESP%d: %q", proto, got)
		}
		v := h.do("TAKE", "stock", "0")
		if v.Kind != resp.KindArray || len(v.Elems) != 2 || v.Elems[0].Kind != resp.KindInt {
			t.Errorf("RESP%d: %+v", proto, v)
		}
	}
}
