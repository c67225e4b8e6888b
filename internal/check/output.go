package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"fulmen/persist/rdb"
	"fulmen/persist/snapshot"
	"fulmen/shard"
	"fulmen/shard/ds/index"
)

// outputForm says how a new snapshot is written.
type outputForm struct {
	path     string // of the file, or of a manifest without its suffix
	shards   int    // 0: one file
	lz4, lzf bool
	checksum bool
}

// maxSegments is the most segments that a snapshot may have: as many as a server has shards.
const maxSegments = shard.MaxShards

// outputForm reads the options.
func (r *run) outputForm(path string) (f outputForm, err error) {
	f.path, f.checksum = path, !r.has("no-checksum")
	if f.shards, err = r.number("shards", 0, 1, maxSegments); err != nil {
		return f, err
	}
	words := []string{"lzf", "lz4", "none"}
	if f.shards > 0 {
		words[0], words[1] = words[1], words[0]
	}
	word, err := r.word("compression", words...)
	f.lz4, f.lzf = word == "lz4", word == "lzf"
	if err != nil {
		return f, err
	}
	return f, r.mustBeFree(path, path+manifestSuffix)
}

// mustBeFree returns an error unless nothing has any of the names.
func (r *run) mustBeFree(names ...string) error {
	for _, name := range names {
		if _, err := r.Files.Stat(name); err == nil {
			return fmt.Errorf("%s is there already; nothing is replaced", name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// output is a snapshot that is being written.
type output struct {
	form    outputForm
	plan    *plan
	scratch *scratch
	files   *snapshot.Files
	writers []*rdb.Writer
	dbs     []int // selected, by writer; −1: none
	keys    []int64
	current *keyInfo // that is being written
}

// newOutput begins to write a snapshot as planned. The scratch has as many shards as the form, or one.
func (r *run) newOutput(form outputForm, p *plan, s *scratch) (o *output, err error) {
	n := max(form.shards, 1)
	o = &output{form: form, plan: p, scratch: s, dbs: make([]int, n), keys: make([]int64, n)}
	o.files, err = snapshot.BeginFiles(snapshot.FileOptions{
		FS: r.Files, Dir: filepath.Dir(form.path), DBFilename: filepath.Base(form.path), Segments: form.shards > 0,
		LZ4: form.lz4, SyncEveryBytes: snapshot.SyncEveryBytes,
	}, snapshot.FileMeta{LSN: p.lsn, CreatedMs: p.createdMs(r.Clock.NowMs()), Shards: n, Databases: p.databases})
	if err != nil {
		return nil, err
	}
	options := rdb.WriteOptions{
		Version: p.version, LZF: form.lzf, Checksum: form.checksum, Space: s.space,
		Hash: func(member []byte) uint64 { return s.set.Key(member).Hash },
	}
	switch {
	case p.idle:
		options.Idle = func(index.Entry) int64 { return max(o.current.IdleSeconds, 0) }
	case p.freq:
		options.Freq = func(index.Entry) int { return max(o.current.Freq, 0) }
	}
	for i := range n {
		file, err := o.files.Open(i)
		if err != nil {
			o.files.Abort()
			return nil, err
		}
		w := rdb.NewWriter(file, options)
		w.Header()
		for _, a := range p.aux {
			w.Aux(a.name, a.value)
		}
		o.writers, o.dbs[i] = append(o.writers, w), -1
	}
	for _, code := range p.code {
		o.writers[0].Function(code)
	}
	return o, nil
}

// entry writes a key that was built.
func (o *output) entry(k *keyInfo, b *built) {
	o.current = k
	o.writer(k, b.shard).Entry(b.e)
}

// raw writes a key with its value as it is in the file that it comes from.
func (o *output) raw(k *keyInfo, value []byte) {
	o.writer(k, o.scratch.set.ShardOf(k.name)).RawEntry(k.name, k.ExpireAtMs, k.IdleSeconds, k.Freq, k.Type, value)
}

// writer returns the writer for a key of a shard, with the key's database selected.
func (o *output) writer(k *keyInfo, shard int) *rdb.Writer {
	w := o.writers[shard]
	o.keys[shard]++
	if o.dbs[shard] == k.DB {
		return w
	}
	o.dbs[shard] = k.DB
	w.SelectDB(k.DB)
	if size := o.plan.sizes[shard][k.DB]; size != nil && !size.told {
		size.told = true
		w.ResizeDB(size.keys, size.expires)
	}
	return w
}

// err returns the first error of a writer.
func (o *output) err() error {
	for _, w := range o.writers {
		if err := w.Err(); err != nil {
			return err
		}
	}
	return nil
}

// finish puts the snapshot into place.
func (o *output) finish() error {
	for _, w := range o.writers {
		if err := w.End(); err != nil {
			return err
		}
	}
	return o.files.Commit(o.keys)
}

// name is what the new snapshot is called.
func (o *output) name() string {
	if o.form.shards > 0 {
		return o.form.path + manifestSuffix
	}
	return o.form.path
}

// createdMs is when the snapshot was made, which conversions keep.
func (p *plan) createdMs(nowMs int64) int64 {
	if p.created > 0 {
		return p.created
	}
	for _, a := range p.aux {
		if s, err := strconv.ParseInt(a.value, 10, 64); err == nil && a.name == "ctime" && s > 0 && s < 1<<40 {
			return s * 1000
		}
	}
	return nowMs
}
