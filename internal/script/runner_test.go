package script

import (
	"strings"
	"testing"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// fakeHost is a map of strings with a few commands.
type fakeHost struct {
	proto  int
	keys   map[string]string
	lines  []string
	reply  []byte
	ticked int
	tick   func() error
}

func newFakeHost() *fakeHost { return &fakeHost{proto: 2, keys: map[string]string{}} }

func (h *fakeHost) Call(args [][]byte) []byte {
	h.reply = h.reply[:0]
	switch strings.ToLower(string(args[0])) {
	case "get":
		if v, ok := h.keys[string(args[1])]; ok {
			h.reply = resp.AppendBulkString(h.reply, v)
		} else {
			h.reply = resp.AppendNull(h.reply, h.proto)
		}
	case "set":
		h.keys[string(args[1])] = string(args[2])
		h.reply = resp.AppendOK(h.reply)
	case "raw": // replies with its argument
		h.reply = append(h.reply, args[1]...)
	default:
		h.reply = append(h.reply, "-ERR Unknown Redis command called from script\r\n"...)
	}
	return h.reply
}

func (h *fakeHost) SetProto(version int)           { h.proto = version }
func (h *fakeHost) Log(_ int, line string)         { h.lines = append(h.lines, line) }
func (h *fakeHost) SetRepl(int)                    {}
func (h *fakeHost) ACLCheck([][]byte) (bool, bool) { return true, true }

func (h *fakeHost) Tick() error {
	h.ticked++
	if h.tick != nil {
		return h.tick()
	}
	return nil
}

func noRows([][]byte) *command.Row { return nil }

// eval runs a script and returns its reply; errors as they are sent.
func eval(t testing.TB, r *Runner, source string, keys, args []string) string {
	t.Helper()
	s, err := r.engine.Compile([]byte(source))
	if err != nil {
		return string(resp.AppendError(nil, err))
	}
	reply, err := r.Run(nil, 2, s, byteSlices(keys), byteSlices(args))
	if err != nil {
		return string(resp.AppendError(nil, err))
	}
	return string(reply)
}

func byteSlices(list []string) (out [][]byte) {
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func TestRunRepliesWithTheResult(t *testing.T) {
	host := newFakeHost()
	r := NewEngine(noRows, Limits{}).NewRunner(host)
	for _, c := range []struct{ source, want string }{
		{"return 1", ":1\r\n"},
		{"return {1,'a',{2.9,false,true},nil,3}", "*3\r\n:1\r\n$1\r\na\r\n*3\r\n:2\r\n$-1\r\n:1\r\n"},
		{"redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])", "$1\r\nv\r\n"},
		{"return redis.call('SET', KEYS[1], 1.5)", "+OK\r\n"},
		{"return redis.call('GET', KEYS[1])", "$3\r\n1.5\r\n"},
		{"return {ok='fine'}", "+fine\r\n"},
		{"return redis.error_reply('MY error')", "-MY error\r\n"},
		{"return redis.pcall('nosuch').err", "$44\r\nERR Unknown Redis command called from script\r\n"},
	} {
		if got := eval(t, r, c.source, []string{"k"}, []string{"v"}); got != c.want {
			t.Errorf("%s: %q, want %q", c.source, got, c.want)
		}
	}
}
