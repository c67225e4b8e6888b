package check

import (
	"fulmen/persist/rdb"
	"fulmen/shard"
)

// plan is what has to be known of a snapshot before another one is made of it: a first pass over the files, in which
// no value is looked at.
type plan struct {
	version   int  // the lowest that has all types, 10 at least
	idle      bool // there are keys that say when they were used
	freq      bool // or how often
	aux       []auxField
	code      [][]byte          // libraries of functions
	sizes     []map[int]*dbSize // by shard, and number of the database
	modules   map[string]int64  // data of modules that belong to no key
	databases int
	lsn       uint64
	created   int64 // ms; 0: not known
}

// auxField is a fact about a snapshot.
type auxField struct{ name, value string }

// dbSize are the figures of a database in one shard.
type dbSize struct {
	keys, expires int
	told          bool // in what is being written
}

// leastDatabases is how many databases a new manifest allows for at least: as many as a server has by default.
const leastDatabases = 16

// plan makes the first pass. With partial, damaged files are taken up to the damage.
func (r *run) plan(in *input, set *shard.Set, partial bool) (*plan, error) {
	p := &plan{
		version: rdb.Version7, modules: map[string]int64{}, databases: leastDatabases,
		sizes: make([]map[int]*dbSize, len(set.Shards)),
	}
	if m := in.manifest; m != nil {
		p.lsn, p.created, p.databases = m.LSN, m.CreatedMs, m.Databases
	}
	for i := range p.sizes {
		p.sizes[i] = map[int]*dbSize{}
	}
	names, codes := map[string]bool{}, map[string]bool{}
	v := visitor{
		aux: func(_ *file, name, value string) error {
			if !names[name] && name != "aof-base" && name != "aof-preamble" { // each segment has them
				names[name] = true
				p.aux = append(p.aux, auxField{name, value})
			}
			return nil
		},
		function: func(code []byte) error {
			if !codes[string(code)] {
				codes[string(code)] = true
				p.code = append(p.code, code)
			}
			return nil
		},
		module: func(name string) error { p.modules[name]++; return nil },
		key: func(_ *rdb.Reader, k *keyInfo) error {
			p.note(k, p.sizes[set.ShardOf(k.name)])
			return nil
		},
	}
	if partial {
		v.broken = func(*file, error) error { return nil } // the second pass reports it
	}
	if err := r.visit(in, v); err != nil {
		return nil, err
	}
	return p, nil
}

// note takes account of a key.
func (p *plan) note(k *keyInfo, sizes map[int]*dbSize) {
	p.version = max(p.version, versionOf(k.Type))
	p.idle = p.idle || k.IdleSeconds >= 0
	p.freq = p.freq || k.Freq >= 0
	p.databases = max(p.databases, k.DB+1)
	size := sizes[k.DB]
	if size == nil {
		size = &dbSize{}
		sizes[k.DB] = size
	}
	size.keys++
	if k.ExpireAtMs != 0 {
		size.expires++
	}
}

// versionOf returns the version that a file needs for a value that comes as the given type.
func versionOf(typ byte) int {
	switch typ {
	case rdb.TypeHashMetadata, rdb.TypeHashListpackEx, rdb.TypeHashMetadataPre, rdb.TypeHashListpackExPre:
		return rdb.Version8
	case rdb.TypeStreamListpacks3:
		return 11 // Redis 7.2
	}
	return rdb.Version7
}
