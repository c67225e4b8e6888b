package replica

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"fulmen/internal/clock"
	"fulmen/internal/resp"
)

// LinkOptions say how a primary is spoken with.
type LinkOptions struct {
	Addr     string // host:port
	User     string // "": the default user's password, as before ACLs
	Password string // "": none
	// ListeningPort and IP are what the primary is told about where this server is reached; IP may be "".
	ListeningPort int
	IP            string
	// Source is the address that this server connects from; "": any.
	Source string
	// Flows is what the primary is asked for, if it is a Fulmen server and has to send everything.
	Flows FlowRequest
	// TimeoutMs bounds each wait for the primary.
	TimeoutMs int64
	Clock     clock.Clock
	// Note is told what the primary did not understand though the link goes on.
	Note func(text string)
}

// Link is a connection to a primary until the stream begins: what is said before, and the transfer. One goroutine at a
// time uses it, but for KeepAlive and Close.
type Link struct {
	o    LinkOptions
	conn net.Conn
}

// Answer is what a primary says to PSYNC.
type Answer struct {
	// Full: a snapshot follows (Expect), and then the stream from behind Offset on. Else the stream goes on.
	Full bool
	// ID is the history's name; "" if it stays what was asked for, or, after SYNC, unknown.
	ID     string
	Offset int64 // of a full sync; -1: the primary doesn't tell
	// Flows is how the snapshot comes. If there are any the stream follows at once, and no snapshot on this connection.
	Flows FlowOffer
}

// ErrLater: the primary can't serve a replica now, but will.
var ErrLater = errors.New("the primary can't synchronize a replica now")

// maxLine bounds a line of a primary's.
const maxLine = 4096

// Dial connects. ctx ends it early.
func Dial(ctx context.Context, o LinkOptions) (*Link, error) {
	d := net.Dialer{Timeout: time.Duration(o.TimeoutMs) * time.Millisecond}
	if o.Source != "" {
		ip := net.ParseIP(o.Source)
		if ip == nil {
			return nil, fmt.Errorf("bind-source-addr: %q is no address", o.Source)
		}
		d.LocalAddr = &net.TCPAddr{IP: ip}
	}
	conn, err := d.DialContext(ctx, "tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	return &Link{o: o, conn: conn}, nil
}

// Conn returns the connection, for who goes on with the stream: nothing of it was read in advance.
func (l *Link) Conn() net.Conn { return l.conn }

// Close ends the link; whoever waits for the primary gets an error. Safe from any goroutine.
func (l *Link) Close() error { return l.conn.Close() }

// greet is the beginning of every conversation: afterwards commands are obeyed.
func (l *Link) greet() error {
	reply, err := l.ask("PING")
	if err != nil {
		return err
	}
	// A primary with a password refuses PING, and is alive.
	if e := failure(reply); e != "" && !hasAnyPrefix(e, "NOAUTH", "NOPERM", "ERR operation not permitted") {
		return fmt.Errorf("Error reply to PING from master: '-%s'", e)
	}
	if l.o.Password != "" {
		args := []string{"AUTH", l.o.Password}
		if l.o.User != "" {
			args = []string{"AUTH", l.o.User, l.o.Password}
		}
		if reply, err = l.ask(args...); err != nil {
			return err
		}
		if e := failure(reply); e != "" {
			return fmt.Errorf("Unable to AUTH to MASTER: -%s", e)
		}
	}
	return nil
}

// Handshake tells the primary who we are. It is the part of the conversation before PSYNC.
func (l *Link) Handshake() error {
	if err := l.greet(); err != nil {
		return err
	}
	can := []string{"REPLCONF", "capa", "eof", "capa", "psync2"}
	if l.o.Flows.Number > 0 {
		can = append(can, "capa", l.o.Flows.capa())
	}
	said := [][]string{
		{"REPLCONF", "listening-port", strconv.Itoa(l.o.ListeningPort)},
		{"REPLCONF", "ip-address", l.o.IP},
		can,
	}
	for _, args := range said {
		if args[2] == "" {
			continue
		}
		reply, err := l.ask(args...)
		if err != nil {
			return err
		}
		if e := failure(reply); e != "" {
			l.o.Note(fmt.Sprintf("(Non critical) Master does not understand REPLCONF %s: -%s", args[1], e))
		}
	}
	return nil
}

// Sync asks for what follows the first offset bytes of the history named id; with id "" for everything. A primary that
// does not know PSYNC is asked by SYNC.
func (l *Link) Sync(id string, offset int64) (Answer, error) {
	ask := []string{"PSYNC", "?", "-1"}
	if id != "" {
		ask = []string{"PSYNC", id, strconv.FormatInt(offset+1, 10)}
	}
	a, reply, err := l.askFor(ask)
	if !errors.Is(err, errRefused) {
		return a, err
	}
	l.o.Note("Master does not support PSYNC or is in error state (reply: " + reply + ")")
	return Answer{Full: true, Offset: -1}, l.send("SYNC")
}

// TakeOver is Sync that asks a replica of ours to become the primary, whose replica we are from then on.
func (l *Link) TakeOver(id string, offset int64) (Answer, error) {
	a, _, err := l.askFor([]string{"PSYNC", id, strconv.FormatInt(offset+1, 10), "FAILOVER"})
	return a, err
}

// errRefused: the primary has replied an error that is none of those that pass.
var errRefused = errors.New("Error reply to PSYNC from master")

// askFor sends a PSYNC and reads what is replied, which is returned, too, if it was an error.
func (l *Link) askFor(psync []string) (a Answer, reply string, err error) {
	if reply, err = l.ask(psync...); err != nil {
		return Answer{}, "", err
	}
	a, err = readAnswer(reply)
	return a, reply, err
}

func readAnswer(reply string) (Answer, error) {
	words := strings.Fields(reply)
	switch {
	case hasAnyPrefix(reply, "+FULLRESYNC"):
		return fullAnswer(words)
	case hasAnyPrefix(reply, "+CONTINUE"):
		a := Answer{}
		if len(words) > 1 {
			if a.ID = words[1]; !validID(a.ID) {
				return Answer{}, fmt.Errorf("Unexpected reply to PSYNC from master: %.128q", reply)
			}
		}
		return a, nil
	case hasAnyPrefix(reply, "-NOMASTERLINK", "-LOADING"):
		return Answer{}, fmt.Errorf("%w: %s", ErrLater, reply)
	case failure(reply) == "":
		return Answer{}, fmt.Errorf("Unexpected reply to PSYNC from master: %.128q", reply)
	}
	return Answer{}, fmt.Errorf("%w: '%s'", errRefused, reply)
}

// fullAnswer reads +FULLRESYNC id offset, which an offer of flows may follow.
func fullAnswer(words []string) (Answer, error) {
	a, ok := Answer{Full: true}, len(words) == 3
	if len(words) == 4 {
		a.Flows, ok = parseFlowOffer(words[3])
	}
	if ok && validID(words[1]) {
		a.ID = words[1]
		if a.Offset, ok = readNumber(words[2]); ok {
			return a, nil
		}
	}
	return Answer{}, fmt.Errorf("Unexpected reply to PSYNC from master: %.128q", strings.Join(words, " "))
}

// Transfer is a snapshot that is about to be received: an io.Reader of its bytes, which gives io.EOF when all of it has
// come, and an error in place of that when the link is lost. Afterwards nothing but the stream follows.
type Transfer struct {
	// SizeBytes is how long it is; -1: it ends where the primary says so.
	SizeBytes int64
	// Progress, if it is set, is told of every piece that comes.
	Progress func(n int)
	// GoesOn, if it is set, is asked when nothing has come for the whole timeout: whether to wait once more.
	GoesOn func() bool
	link   *Link
	left   int64  // of SizeBytes
	mark   []byte // that it ends with
	// held is what may be the mark: the last bytes, at most markBytes, of what has come
	held  []byte
	small [2 * markBytes]byte // for a Read that has no room for the mark
	over  bool
}

// Expect waits for the beginning of a snapshot.
func (l *Link) Expect() (*Transfer, error) {
	line, err := l.line()
	if err != nil {
		return nil, err
	}
	switch {
	case hasAnyPrefix(line, "-"):
		return nil, fmt.Errorf("MASTER aborted replication with an error: %s", line[1:])
	case hasAnyPrefix(line, "$EOF:") && len(line) >= len("$EOF:")+markBytes:
		return &Transfer{
			SizeBytes: -1, link: l, mark: []byte(line[5 : 5+markBytes]), held: make([]byte, 0, markBytes),
		}, nil
	case hasAnyPrefix(line, "$"):
		if n, ok := readNumber(line[1:]); ok {
			return &Transfer{SizeBytes: n, left: n, link: l}, nil
		}
	}
	return nil, fmt.Errorf("Bad protocol from MASTER, the first byte is not '$' (we received %.64q), are you sure the "+
		"host and port are right?", line)
}

// markBytes is the length of the mark behind a snapshot whose length isn't known in advance.
const markBytes = 40

// Read implements io.Reader.
func (t *Transfer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if t.mark == nil {
		if t.left == 0 {
			return 0, io.EOF
		}
		n, err := t.read(p[:min(t.left, int64(len(p)))])
		t.left -= int64(n)
		return n, err
	}
	for !t.over {
		if n, err := t.readMarked(p); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// readMarked reads some bytes that a mark follows, and holds back what may be the mark. It may return none.
func (t *Transfer) readMarked(p []byte) (int, error) {
	buf := p
	if len(p) <= markBytes {
		buf = t.small[:len(t.held)+len(p)] // no more may come out than p has room for
	}
	kept := copy(buf, t.held)
	n, err := t.read(buf[kept:])
	if err != nil {
		return 0, err
	}
	come := kept + n
	give := max(come-markBytes, 0)
	t.held = append(t.held[:0], buf[give:come]...)
	t.over = subtle.ConstantTimeCompare(t.held, t.mark) == 1
	if len(p) <= markBytes {
		copy(p, buf[:give])
	}
	return give, nil
}

// read reads some bytes within the timeout.
func (t *Transfer) read(p []byte) (int, error) {
	if err := t.link.extend(); err != nil {
		return 0, err
	}
	n, err := t.link.conn.Read(p)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && t.GoesOn != nil && t.GoesOn() {
		return t.read(p)
	}
	if n > 0 {
		if t.Progress != nil {
			t.Progress(n)
		}
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("I/O error trying to sync with MASTER: %w", err)
}

// KeepAlive tells the primary that we are still there while nothing else is said, as Redis does. Safe from any
// goroutine.
func (l *Link) KeepAlive() error {
	if err := l.conn.SetWriteDeadline(l.deadline()); err != nil {
		return err // what it was told before may be long ago
	}
	_, err := l.conn.Write([]byte("\n"))
	return err
}

// ask sends a command and returns the line of its reply.
func (l *Link) ask(args ...string) (string, error) {
	if err := l.send(args...); err != nil {
		return "", err
	}
	return l.line()
}

func (l *Link) send(args ...string) error {
	if err := l.extend(); err != nil {
		return err
	}
	out := resp.AppendCommandStrings(nil, args...)
	_, err := l.conn.Write(out)
	return err
}

// line reads a line, without its end. Empty ones are passed over: with them a primary says that it is still there. It
// reads byte by byte, so that what follows is left for others.
func (l *Link) line() (string, error) {
	var text []byte
	for b := make([]byte, 1); len(text) < maxLine; {
		if err := l.extend(); err != nil {
			return "", err
		}
		if _, err := io.ReadFull(l.conn, b); err != nil {
			return "", err
		}
		switch {
		case b[0] == '\n' && len(text) > 0:
			return string(text), nil
		case b[0] != '\n' && b[0] != '\r':
			text = append(text, b[0])
		}
	}
	return "", errors.New("the primary sends a line without end")
}

// extend gives the primary the whole timeout from now on.
func (l *Link) extend() error { return l.conn.SetDeadline(l.deadline()) }

// deadline is when the primary has had the whole timeout.
func (l *Link) deadline() time.Time { return time.UnixMilli(l.o.Clock.NowMs() + l.o.TimeoutMs) }

// failure returns what an error reply says; "": it is none.
func failure(reply string) string {
	text, isError := strings.CutPrefix(reply, "-")
	if !isError {
		return ""
	}
	return text
}

// readNumber reads a number of a handshake that is not negative, and written in the only way that there is: no blanks,
// no sign, no leading zeros.
func readNumber(text string) (int64, bool) {
	n, ok := resp.ParseInt([]byte(text))
	return n, ok && n >= 0
}

func hasAnyPrefix(text string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}

func validID(id string) bool {
	if len(id) != markBytes {
		return false
	}
	for _, c := range id {
		if c < '0' || c > '9' && c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}
