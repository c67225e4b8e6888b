package check

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"time"

	"fulmen/internal/glob"
	"fulmen/persist/rdb"
	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// show lists what is in a snapshot, or prints the value of one key.
func (r *run) show() error { return r.snapshotOrAOF(r.args, r.showAOF, r.showSnapshot) }

func (r *run) showSnapshot() error {
	db, err := r.number("db", -1, 0, 1<<31-1)
	if err != nil {
		return err
	}
	limit, err := r.number("limit", 1<<62, 0, 1<<62)
	if err != nil {
		return err
	}
	in, err := r.input(r.args...)
	if err != nil {
		return err
	}
	l := &lister{run: r, db: db, left: limit, match: []byte(r.text("match", "*")), out: bufio.NewWriter(r.Stdout)}
	if r.has("key") {
		l.key = []byte(r.text("key", ""))
	}
	err = l.list(in)
	if errors.Is(err, errEnough) {
		err = nil
	}
	if flushErr := l.out.Flush(); err == nil {
		err = flushErr
	}
	if err == nil && l.key != nil && l.found == 0 {
		return fmt.Errorf("%s: no key %s", in.name, quote(l.key))
	}
	return err
}

// lister is a run of show.
type lister struct {
	*run
	out   *bufio.Writer
	db    int    // −1: all
	key   []byte // nil: all
	match []byte
	left  int
	found int
}

// errEnough ends a visit of which nothing more is needed.
var errEnough = errors.New("enough")

func (l *lister) list(in *input) error {
	if in.manifest != nil && l.key == nil {
		m := in.manifest
		fmt.Fprintf(l.out, "manifest %s: generation %d, %d segments, %d keys, LSN %d, of %s\n", in.name, m.Generation,
			len(m.Segments), m.Keys(), m.LSN, timeText(m.CreatedMs))
	}
	v := visitor{
		key:  l.value,
		done: l.line,
	}
	if l.key != nil {
		v.done = nil
	} else {
		v.begin = func(f *file, version int) error {
			_, err := fmt.Fprintf(l.out, "file %s: RDB version %d, %d bytes\n", f.path, version, f.size)
			return err
		}
		v.aux = func(_ *file, name, value string) error {
			_, err := fmt.Fprintf(l.out, "aux %s = %s\n", name, quote([]byte(value)))
			return err
		}
		v.function = func(code []byte) error {
			_, err := fmt.Fprintf(l.out, "function library of %d bytes\n%s\n", len(code), code)
			return err
		}
		v.module = func(name string) error {
			_, err := fmt.Fprintf(l.out, "data of module %s\n", name)
			return err
		}
		v.resize = func(ev *rdb.Event) error {
			_, err := fmt.Fprintf(l.out, "db%d: about %d keys, %d with expiry\n", ev.DB, ev.Keys, ev.Expires)
			return err
		}
	}
	return l.visit(in, v)
}

// wanted tells whether a key is to be shown.
func (l *lister) wanted(k *keyInfo) bool {
	if l.db >= 0 && k.DB != l.db {
		return false
	}
	if l.key != nil {
		return string(k.name) == string(l.key)
	}
	return glob.Match(l.match, k.name, false)
}

// value prints the value of the key that was asked for.
func (l *lister) value(rd *rdb.Reader, k *keyInfo) error {
	if l.key == nil || !l.wanted(k) {
		return nil
	}
	l.found++
	fmt.Fprintf(l.out, "%s: %s%s\n", keyText(k.DB, k.name), k.what, detailsText(k))
	if !k.known {
		_, err := l.out.WriteString("(values of this type can't be shown)\n")
		return err
	}
	if err := rd.Value(&printer{out: l.out}); err != nil {
		return err
	}
	if l.db >= 0 {
		return errEnough
	}
	return nil
}

// line prints a line about a key.
func (l *lister) line(k *keyInfo) error {
	if !l.wanted(k) {
		return nil
	}
	if l.left == 0 {
		return errEnough
	}
	l.left--
	_, err := fmt.Fprintf(l.out, "%s: %s, %d bytes%s\n", keyText(k.DB, k.name), k.what, k.size, detailsText(k))
	return err
}

// detailsText says what else is known of a key.
func detailsText(k *keyInfo) (text string) {
	if k.ExpireAtMs != 0 {
		text += ", expires at " + timeText(k.ExpireAtMs)
	}
	if k.IdleSeconds >= 0 {
		text += fmt.Sprintf(", idle for %d s", k.IdleSeconds)
	}
	if k.Freq >= 0 {
		text += fmt.Sprintf(", frequency %d", k.Freq)
	}
	return text
}

// timeText is a moment for people, with the number that it is.
func timeText(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000 UTC") + " (" + strconv.FormatInt(ms, 10) + ")"
}

// printer is a builder that prints the elements of a value, one a line.
type printer struct {
	out *bufio.Writer
	n   int
}

// Begin implements rdb.Builder.
func (p *printer) Begin(rdb.Form) error { return nil }

// String implements rdb.Builder.
func (p *printer) String(b []byte) error { return p.line(quoteAll(b)) }

// Item implements rdb.Builder.
func (p *printer) Item(b []byte) error { return p.element(quoteAll(b)) }

// Member implements rdb.Builder.
func (p *printer) Member(b []byte) error { return p.element(quoteAll(b)) }

// Scored implements rdb.Builder.
func (p *printer) Scored(member []byte, score float64) error {
	return p.element(quoteAll(member) + " " + strconv.FormatFloat(score, 'g', -1, 64))
}

// Field implements rdb.Builder.
func (p *printer) Field(field, value []byte, expireAtMs int64) error {
	text := quoteAll(field) + " " + quoteAll(value)
	if expireAtMs != 0 {
		text += " expires at " + timeText(expireAtMs)
	}
	return p.element(text)
}

// StreamNode implements rdb.Builder.
func (p *printer) StreamNode(id stream.ID, node []byte, _ *stream.Facts) error {
	var r stream.Reader
	var f, v stream.Part
	text := func(x *stream.Part) string {
		if x.IsNum {
			return `"` + strconv.FormatInt(x.Num, 10) + `"`
		}
		return quoteAll(node[x.From:x.To])
	}
	for r.Open(node, id); r.Next(); {
		if r.Deleted {
			continue
		}
		line := r.ID.AppendTo(nil)
		for range r.Pairs {
			r.Pair(&f, &v)
			line = append(line, " "+text(&f)+" "+text(&v)...)
		}
		if err := p.element(string(line)); err != nil {
			return err
		}
	}
	return nil
}

// StreamInfo implements rdb.Builder.
func (p *printer) StreamInfo(in *object.StreamInfo) error {
	return p.line(fmt.Sprintf("last ID %s, %d added, highest ID deleted %s", in.LastID.AppendTo(nil), in.Added,
		in.MaxDeleted.AppendTo(nil)))
}

// Group implements rdb.Builder.
func (p *printer) Group(name []byte, last stream.ID, entriesRead int64) error {
	return p.line(fmt.Sprintf("group %s: last ID %s, %d read", quoteAll(name), last.AppendTo(nil), entriesRead))
}

// Pending implements rdb.Builder.
func (p *printer) Pending(id stream.ID, deliveredMs, deliveries int64) error {
	return p.line(fmt.Sprintf("  pending %s, delivered at %s, %d times", id.AppendTo(nil), timeText(deliveredMs),
		deliveries))
}

// Consumer implements rdb.Builder.
func (p *printer) Consumer(name []byte, seenMs int64) error {
	return p.line(fmt.Sprintf("  consumer %s, seen at %s", quoteAll(name), timeText(seenMs)))
}

// Owned implements rdb.Builder.
func (p *printer) Owned(id stream.ID) error {
	return p.line(fmt.Sprintf("    pending %s", id.AppendTo(nil)))
}

func (p *printer) element(text string) error {
	p.n++
	return p.line(fmt.Sprintf("%d) %s", p.n, text))
}

func (p *printer) line(text string) error {
	if _, err := p.out.WriteString(text); err != nil {
		return err
	}
	return p.out.WriteByte('\n')
}
