package command_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/crc"
	"fulmen/internal/redistest"
)

// streamMaker has a redis-server make random streams.
type streamMaker struct {
	peer
	rnd *rand.Rand
	key string
	ms  int
}

func (m *streamMaker) text() string {
	switch m.rnd.IntN(14) {
	case 0:
		return strings.Repeat("long", m.rnd.IntN(1100))
	case 1:
		return strconv.FormatInt(int64(m.rnd.Uint64())>>m.rnd.IntN(64), 10)
	case 2:
		return strings.Repeat("x", 60+m.rnd.IntN(8))
	}
	return "v" + strconv.Itoa(m.rnd.IntN(1000))
}

func (m *streamMaker) id() string { return fmt.Sprint(m.rnd.IntN(m.ms + 1)) }

// step does something to the stream; what is refused does no harm.
func (m *streamMaker) step() {
	group, consumer := fmt.Sprint("g", m.rnd.IntN(3), "\x00"), fmt.Sprint("c", m.rnd.IntN(4))
	var args []string
	switch k := m.rnd.IntN(20); k {
	case 0, 1, 2:
		args = []string{"XDEL", m.key, m.id() + "-1", m.id() + "-1", m.id() + "-1"}
	case 3:
		args = []string{"XTRIM", m.key, "MINID", []string{"~", "="}[m.rnd.IntN(2)], m.id()}
	case 4:
		args = []string{"XTRIM", m.key, "MAXLEN", []string{"~", "="}[m.rnd.IntN(2)], fmt.Sprint(m.rnd.IntN(400))}
	case 5:
		args = []string{"XGROUP", "CREATE", m.key, group, []string{"0", "$", m.id()}[m.rnd.IntN(3)]}
	case 6:
		args = []string{"XGROUP", "CREATECONSUMER", m.key, group, consumer}
	case 7:
		args = []string{"XACK", m.key, group, m.id() + "-1", m.id() + "-1"}
	case 8:
		args = []string{"XCLAIM", m.key, group, consumer, "0", m.id() + "-1", "FORCE"}
	case 9, 10, 11:
		args = []string{"XREADGROUP", "GROUP", group, consumer, "COUNT", "5", "STREAMS", m.key, ">"}
	default:
		for range 1 + m.rnd.IntN(20) {
			m.ms += m.rnd.IntN(3) * m.rnd.IntN(2) * m.rnd.IntN(1000)
			m.ms++
			args := []string{"XADD", m.key, fmt.Sprint(m.ms, "-1")}
			for i := range 1 + m.rnd.IntN(2) {
				field := fmt.Sprint("f", i)
				if m.rnd.IntN(5) == 0 {
					field = m.text()
				}
				args = append(args, field, m.text())
			}
			m.do(args...)
		}
		return
	}
	if _, err := m.conn.Do(args...); err != nil {
		m.t.Fatal(err)
	}
}

// TestStreamDumpsAreRedis: a stream of redis-server, restored here, is dumped byte for byte as it was.
func TestStreamDumpsAreRedis(t *testing.T) {
	params := append(slices.Clone(debugging), "--rdbcompression", "no")
	redis, ours := connect(t, redistest.Redis(params...)), connect(t, fulmen(2, params...))
	for seed := range uint64(12) {
		m := streamMaker{peer: redis, rnd: rand.New(rand.NewPCG(seed, 3)), key: fmt.Sprint("s", seed)}
		redis.do("CONFIG", "SET", "stream-node-max-entries", []string{"100", "5", "0"}[seed%3])
		for range 300 {
			m.step()
		}
		want := string(redis.do("DUMP", m.key).Str)
		ours.do("RESTORE", m.key, "0", want)
		if got := string(ours.do("DUMP", m.key).Str); got != want {
			t.Errorf("stream %d is dumped as %d bytes, not as the %d that it came in", seed, len(got), len(want))
		}
		if redis.digest(m.key) != ours.digest(m.key) || string(ours.do("OBJECT", "ENCODING", m.key).Str) != "stream" {
			t.Errorf("stream %d is another one here", seed)
		}
		redis.do("RESTORE", "back", "0", string(ours.do("DUMP", m.key).Str), "REPLACE")
		if redis.digest("back") != redis.digest(m.key) {
			t.Errorf("stream %d is another one when it comes back", seed)
		}
		ours.do("COPY", m.key, "copy", "REPLACE")
		ours.do("RENAME", "copy", fmt.Sprint("renamed", seed))
		if got := string(ours.do("DUMP", fmt.Sprint("renamed", seed)).Str); got != want {
			t.Errorf("stream %d, copied and renamed, is another one", seed)
		}
	}
	if n := len(ours.do("SCAN", "0", "TYPE", "stream", "COUNT", "1000").Elems[1].Elems); n != 24 {
		t.Errorf("SCAN finds %d streams", n)
	}
}

// TestForgedStreams: whatever is taken of payloads that are a byte or two from being right can be written, copied and
// removed, and redis-server takes what is written and has the same in it.
func TestForgedStreams(t *testing.T) {
	params := append(slices.Clone(debugging), "--rdbcompression", "no", "--sanitize-dump-payload", "yes")
	redis := connect(t, redistest.Redis(params...))
	ours := connect(t, fulmen(2, params[:4]...))
	m := streamMaker{peer: redis, rnd: rand.New(rand.NewPCG(9, 3)), key: "s"}
	for range 40 {
		m.step()
	}
	redis.do("XGROUP", "CREATE", "s", "more", "0")
	redis.do("XREADGROUP", "GROUP", "more", "c", "COUNT", "4", "STREAMS", "s", ">")
	good := redis.do("DUMP", "s").Str
	good = good[:len(good)-8]
	taken := 0
	const rounds = 1500
	for range rounds {
		b := slices.Clone(good)
		for range 1 + m.rnd.IntN(2) {
			b[m.rnd.IntN(len(b)-2)] = byte(m.rnd.IntN(256))
		}
		if m.rnd.IntN(2) == 0 { // among the groups, behind the nodes
			copy(b[:len(b)*3/4], good)
		}
		payload := string(binary.LittleEndian.AppendUint64(b, crc.Sum64(b)))
		v, err := ours.conn.Do("RESTORE", "s", "0", payload, "REPLACE")
		if err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		if v.Err() != nil {
			continue
		}
		if string(ours.do("TYPE", "s").Str) != "stream" {
			continue
		}
		taken++
		ours.do("COPY", "s", "copy", "REPLACE")
		redis.do("RESTORE", "back", "0", string(ours.do("DUMP", "copy").Str), "REPLACE")
		if redis.digest("back") != ours.digest("s") {
			t.Errorf("%q is another stream in redis-server", payload)
		}
		ours.do("DEL", "s", "copy")
	}
	if taken < rounds/10 || taken > rounds*49/50 {
		t.Errorf("%d of %d are taken", taken, rounds)
	}
	if n := ours.do("DBSIZE").Int; n != 0 {
		t.Errorf("%d keys", n)
	}
}
