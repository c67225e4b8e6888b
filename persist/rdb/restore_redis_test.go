package rdb

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/shard/object"
)

// unique is a recorder that refuses what comes twice, as whoever builds a value does.
type unique struct {
	recorder
	seen map[string]bool
}

var errTwice = errors.New("an element comes twice")

func (u *unique) note(b []byte) error {
	if u.seen[string(b)] {
		return errTwice
	}
	u.seen[string(b)] = true
	return nil
}

func (u *unique) Member(b []byte) error {
	return errors.Join(u.note(b), u.recorder.Member(b))
}

func (u *unique) Scored(b []byte, score float64) error {
	return errors.Join(u.note(b), u.recorder.Scored(b, score+0)) // the server shows -0 by its encoding
}

func (u *unique) Field(b, value []byte, expireAtMs int64) error {
	return errors.Join(u.note(b), u.recorder.Field(b, value, expireAtMs))
}

// stricter are the reasons for which we refuse what redis-server 7.0 takes: it doesn't look where a value ends, reads
// on in version and checksum, takes the beginning of a text for a number, and unpacks to less than was said.
var stricter = []string{
	"more after the value", "ends too early", nanScore, "cannot be unpacked", "a length is due",
}

// TestRestoreAgreesWithRedis sends payloads that are valid but for a byte or two to redis-server, which checks them
// to their depth, and to DecodeDump: they must agree on what is to be refused, and on what the rest contains.
func TestRestoreAgreesWithRedis(t *testing.T) {
	oracle := redistest.StartOracle(t, "--sanitize-dump-payload", "yes")
	conn, err := redistest.Dial(oracle.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	server := goldenServer{t: t, conn: conn}
	seeds := payloadSeeds(t)
	random := rand.New(rand.NewPCG(3, 4))
	taken := 0
	const rounds = 4000
	for range rounds {
		value := mutate(random, seeds[random.IntN(len(seeds))])
		rdbType := value[0]
		b := unique{recorder: recorder{t: t}, seen: map[string]bool{}}
		err := DecodeDump(payload(rdbType, string(value[1:])), &b)
		refusal := server.do("restore", "k", "0", string(payload(rdbType, string(value[1:]))), "replace").Err()
		switch {
		case err == nil && refusal == nil:
			taken++
			if got, want := b.text(), server.value("k", b.form); got != want {
				t.Errorf("%q: %s, redis has %s", value, got, want)
			}
		case err == nil && rdbType != TypeHashZipmap: // lengths of more bytes than they take
			t.Errorf("%q: taken, redis says %v", value, refusal)
		case err != nil && refusal == nil && !mentions(err, stricter):
			t.Errorf("%q: redis takes it: %v", value, err)
		}
	}
	if taken < rounds/10 || taken > rounds*9/10 {
		t.Errorf("%d of %d are taken", taken, rounds)
	}
}

func mentions(err error, reasons []string) bool {
	for _, reason := range reasons {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
}

// payloadSeeds are values, behind their types, that redis-server 7.0 can restore.
func payloadSeeds(t *testing.T) (seeds [][]byte) {
	const long = 1000
	add := func(rdbType byte, value string) {
		if valueType, ok := TypeOf(rdbType); ok && valueType != object.Stream && rdbType <= TypeStreamListpacks2 &&
			len(value) < long {
			seeds = append(seeds, append([]byte{rdbType}, value...))
		}
	}
	for _, test := range valueTests() {
		add(test.rdbType, test.value)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "redis-*", "*.dump"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		for line := range strings.Lines(string(readFile(t, path))) {
			_, quoted, _ := strings.Cut(strings.TrimSpace(line), " ")
			b, err := strconv.Unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			add(b[0], b[1:len(b)-dumpFooter])
		}
	}
	return seeds
}

// mutate is a copy of a value with up to two bytes changed, put in or taken out, none of them the type.
func mutate(random *rand.Rand, value []byte) []byte {
	b := append([]byte(nil), value...)
	for range random.IntN(3) {
		if len(b) < 2 {
			break
		}
		i := 1 + random.IntN(len(b)-1)
		switch random.IntN(5) {
		case 0:
			b[i] ^= 1 << random.IntN(8)
		case 1:
			b[i] = byte(random.Uint32())
		case 2:
			b = append(b[:i], b[i+1:]...)
		case 3:
			b = append(b[:i], append([]byte{byte(random.Uint32())}, b[i:]...)...)
		case 4:
			b[i] = []byte{0, 1, 127, 128, 254, 255}[random.IntN(6)]
		}
	}
	return b
}
