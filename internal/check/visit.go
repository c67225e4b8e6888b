package check

import (
	"errors"
	"fmt"
	"io"

	"fulmen/persist/rdb"
)

// keyInfo is a key of a snapshot.
type keyInfo struct {
	rdb.Event
	file   *file
	name   []byte // a copy of its name
	offset int64  // of its first byte in the file, opcodes before it included
	size   int64  // in bytes, as it is in the file; once the value has been read
	what   string // the type's name; of a module's value "module …"
	known  bool   // the type is one that can be built
	taken  bool   // the value has been read
}

// visitor is what is done with the parts of a snapshot. Functions that are nil are not called.
type visitor struct {
	// begin is called for each file, once its header is known to be right.
	begin func(f *file, version int) error
	aux   func(f *file, name, value string) error
	// function is called for the code of each library of functions, which is its to keep, module for data of a module
	// that belong to no key.
	function func(code []byte) error
	module   func(name string) error
	resize   func(ev *rdb.Event) error
	// key reads the value of a key from rd, or doesn't. size is not set yet; done is called when it is.
	key  func(rd *rdb.Reader, k *keyInfo) error
	done func(k *keyInfo) error
	// broken is called when a file can't be read on; with nil, or if it returns an error, the visit ends.
	broken func(f *file, err error) error
}

// visit goes through all files of a snapshot.
func (r *run) visit(in *input, v visitor) error {
	for _, f := range in.files {
		err := r.visitFile(f, &v)
		var damage *rdb.CorruptError
		if errors.As(err, &damage) && v.broken != nil {
			err = v.broken(f, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) visitFile(f *file, v *visitor) error {
	in, err := f.open(r)
	if err != nil {
		return err
	}
	err = r.events(f, rdb.NewReader(in, f.path), v)
	if err == nil {
		err = in.Finish()
	}
	return errors.Join(err, in.Close())
}

// events goes through one file.
func (r *run) events(f *file, rd *rdb.Reader, v *visitor) error {
	var k keyInfo
	k.file = f
	begun := false
	for {
		k.offset = rd.Offset()
		ev, err := rd.Next()
		if !begun && (err == nil || err == io.EOF) && v.begin != nil {
			if err := v.begin(f, rd.Version()); err != nil {
				return err
			}
		}
		begun = true
		if err == io.EOF {
			return nil
		}
		if err == nil {
			k.Event = ev
			err = r.event(f, rd, &k, v)
		}
		if err != nil {
			return err
		}
	}
}

func (r *run) event(f *file, rd *rdb.Reader, k *keyInfo, v *visitor) error {
	switch ev := &k.Event; {
	case ev.Kind == rdb.EventKey:
		return r.visitKey(rd, k, v)
	case ev.Kind == rdb.EventAux && v.aux != nil:
		return v.aux(f, string(ev.AuxKey), string(ev.AuxValue))
	case ev.Kind == rdb.EventFunction && v.function != nil:
		return v.function(ev.Library())
	case ev.Kind == rdb.EventModuleAux && v.module != nil:
		return v.module(ev.Module)
	case ev.Kind == rdb.EventResizeDB && v.resize != nil:
		return v.resize(ev)
	}
	return nil
}

func (r *run) visitKey(rd *rdb.Reader, k *keyInfo, v *visitor) error {
	k.name = append(k.name[:0], k.Key...)
	t, ok := rdb.TypeOf(k.Type)
	k.known = ok
	if ok {
		k.what = t.String()
	} else {
		k.what = "module " + k.Module
	}
	k.taken = false
	r.progress.keys++
	if v.key != nil {
		if err := v.key(rd, k); err != nil {
			return err
		}
	}
	if v.done == nil {
		return nil
	}
	if !k.taken {
		if err := rd.Skip(); err != nil {
			return err
		}
	}
	k.size = rd.Offset() - k.offset
	return v.done(k)
}

// keyText is a key's name with its database for people.
func keyText(db int, name []byte) string { return fmt.Sprintf("db%d %s", db, quote(name)) }

// quoteLimit is the length from which names are cut where they are told.
const quoteLimit = 512

// quote writes bytes as redis-cli does, and no more than some of them.
func quote(b []byte) string {
	if len(b) <= quoteLimit {
		return quoteAll(b)
	}
	return fmt.Sprintf("%s... (%d bytes)", quoteAll(b[:quoteLimit]), len(b))
}

// quoteAll writes bytes as redis-cli does, with escapes for what can't be printed.
func quoteAll(b []byte) string {
	dst := make([]byte, 0, len(b)+2)
	dst = append(dst, '"')
	for _, c := range b {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ' || c > '~':
			dst = fmt.Appendf(dst, "\\x%02x", c)
		default:
			dst = append(dst, c)
		}
	}
	return string(append(dst, '"'))
}
