package redistest

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// DiffEvents is Diff for servers that publish keyspace events of some classes, as notify-keyspace-events has them: a
// subscriber must hear the same of both, in the same order.
func DiffEvents(t *testing.T, right, tested Server, grammar Grammar, classes string) {
	t.Helper()
	diff(t, right, tested, grammar, classes)
}

// listening is a connection to each of two servers that hears of keyspace events.
type listening struct{ right, tested *Conn }

// listen has both servers publish events. Keys that are past their time stay until somebody comes across them, since
// otherwise events would come at any time.
func (d *differ) listen() (*listening, error) {
	p, err := d.dial()
	if err != nil {
		return nil, err
	}
	if err := p.expire(false); err != nil {
		return nil, errors.Join(err, p.close())
	}
	for _, args := range [][]string{
		{"CONFIG", "SET", "notify-keyspace-events", d.events}, {"PSUBSCRIBE", "__key*@*__:*"},
	} {
		if err := p.must(args...); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	return &listening{right: p.right, tested: p.tested}, nil
}

// expire has both servers remove keys that are past their time by themselves, or leave that to who comes across them.
// While all keys are compared they do: redis-server's SCAN comes across such keys, where that of others need not.
func (p *pair) expire(on bool) error {
	if on {
		return p.must("DEBUG", "SET-ACTIVE-EXPIRE", "1")
	}
	return p.must("DEBUG", "SET-ACTIVE-EXPIRE", "0")
}

// must sends a command that both have to obey.
func (p *pair) must(args ...string) error {
	one, other, err := p.do(args...)
	if err != nil || one.kind == '-' || other.kind == '-' {
		return errors.Join(errors.New(joinArgs(args)+" failed"), err)
	}
	return nil
}

func (l *listening) close() error { return errors.Join(l.right.Close(), l.tested.Close()) }

// heard gives what was published since the last time, the replies to all commands having come.
func (l *listening) heard() (right, tested []string, err error) {
	right, err = heard(l.right)
	if err == nil {
		tested, err = heard(l.tested)
	}
	return right, tested, err
}

// heard reads what was published before now. A server with several threads may answer the first of two PINGs before it
// has looked at what others have published, but not the second one.
func heard(conn *Conn) (messages []string, err error) {
	for range 2 {
		conn.Queue("PING")
		if err := conn.Flush(); err != nil {
			return nil, err
		}
		for {
			v, err := conn.Receive()
			if err != nil {
				return nil, err
			}
			if len(v.Elems) == 2 {
				break // pong
			}
			var words []string
			for _, e := range v.Elems {
				words = append(words, quote(string(e.Str)))
			}
			messages = append(messages, strings.Join(words[min(2, len(words)):], " "))
		}
	}
	return messages, nil
}

// compare gives the difference between what was heard of both servers, nil if there is none; at is the last command.
func (l *listening) compare(at int) (*difference, error) {
	right, tested, err := l.heard()
	if err != nil {
		return nil, err
	}
	same := 0
	for same < len(right) && same < len(tested) && right[same] == tested[same] {
		same++
	}
	if same == len(right) && same == len(tested) {
		return nil, nil
	}
	const shown = 4
	rest := func(messages []string) string {
		messages = append(slices.Clone(messages[same:min(same+shown, len(messages))]), "...")
		return "publishes " + strings.Join(messages, ", ")
	}
	return &difference{at: at, right: rest(right), tested: rest(tested)}, nil
}
