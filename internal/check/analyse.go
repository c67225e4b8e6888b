package check

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"fulmen/persist/rdb"
)

// analysis is what analyse finds out. Its fields are the output of --json.
type analysis struct {
	Snapshot  string            `json:"snapshot"`
	Files     int               `json:"files"`
	FileBytes int64             `json:"file_bytes"`
	Aux       map[string]string `json:"aux"`
	Keys      int64             `json:"keys"`
	// ValueBytes are the bytes of keys and values as they are in the files, MemoryBytes those that the server needs.
	ValueBytes  int64               `json:"value_bytes"`
	MemoryBytes int64               `json:"memory_bytes"`
	Functions   int64               `json:"function_libraries"`
	Databases   []*dbAnalysis       `json:"databases"`
	Types       []*group            `json:"types"`
	Encodings   []*group            `json:"encodings"`
	Expiries    []*group            `json:"expiries"`
	Elements    []*group            `json:"elements"` // classes by the number of elements; strings by their length
	Memory      []*group            `json:"memory"`   // classes by memory
	Prefixes    []*group            `json:"prefixes,omitempty"`
	Biggest     []bigKey            `json:"biggest"`
	groups      map[string]*group   // by kind and name
	dbs         map[int]*dbAnalysis // by number
	prefixSep   string
	topKeys     int
}

// dbAnalysis is what is said about a database.
type dbAnalysis struct {
	DB          int   `json:"db"`
	Keys        int64 `json:"keys"`
	Expires     int64 `json:"expires"`
	Expired     int64 `json:"expired"`
	MemoryBytes int64 `json:"memory_bytes"`
}

// group are keys that have something in common.
type group struct {
	Name        string `json:"name"`
	Keys        int64  `json:"keys"`
	Elements    int64  `json:"elements"`
	ValueBytes  int64  `json:"value_bytes"`
	MemoryBytes int64  `json:"memory_bytes"`
	order       int
}

// bigKey is one of the biggest keys.
type bigKey struct {
	DB          int    `json:"db"`
	Key         string `json:"key"` // with escapes
	Type        string `json:"type"`
	Encoding    string `json:"encoding,omitempty"`
	Elements    int64  `json:"elements"`
	ValueBytes  int64  `json:"value_bytes"`
	MemoryBytes int64  `json:"memory_bytes"`
}

func (g *group) add(b *bigKey) {
	g.Keys++
	g.Elements += b.Elements
	g.ValueBytes += b.ValueBytes
	g.MemoryBytes += b.MemoryBytes
}

// maxPrefixes bounds how many prefixes of keys are told apart; the rest is counted together.
const maxPrefixes = 10_000

func (r *run) analyse() error {
	top, err := r.number("top", 20, 0, 100_000)
	if err != nil {
		return err
	}
	in, err := r.input(r.args...)
	if err != nil {
		return err
	}
	s, err := newScratch(r, 1)
	if err != nil {
		return err
	}
	a := &analysis{
		Snapshot: in.name, Files: len(in.files), FileBytes: in.bytes(), Aux: map[string]string{},
		groups: map[string]*group{}, dbs: map[int]*dbAnalysis{}, topKeys: top, prefixSep: r.text("prefix", ""),
	}
	now := r.Clock.NowMs()
	var big bigKey
	err = r.visit(in, visitor{
		aux:      func(_ *file, name, value string) error { a.Aux[name] = value; return nil },
		function: func([]byte) error { a.Functions++; return nil },
		key: func(rd *rdb.Reader, k *keyInfo) error {
			big = bigKey{DB: k.DB, Type: k.what}
			if !k.known {
				return nil
			}
			b, err := s.build(rd, k)
			if b != nil {
				big.Encoding, big.Elements, big.MemoryBytes = b.encoding(), b.elements, b.memoryBytes()
			}
			return err
		},
		done: func(k *keyInfo) error {
			big.ValueBytes = k.size
			a.add(k, &big, now)
			return nil
		},
	})
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	a.finish()
	if r.has("json") {
		return a.writeJSON(r.Stdout)
	}
	return a.writeText(r.Stdout)
}

// add counts a key.
func (a *analysis) add(k *keyInfo, b *bigKey, nowMs int64) {
	a.Keys++
	a.ValueBytes += b.ValueBytes
	a.MemoryBytes += b.MemoryBytes
	db := a.dbs[k.DB]
	if db == nil {
		db = &dbAnalysis{DB: k.DB}
		a.dbs[k.DB] = db
	}
	db.Keys++
	db.MemoryBytes += b.MemoryBytes
	if k.ExpireAtMs != 0 {
		db.Expires++
		if k.ExpireAtMs < nowMs {
			db.Expired++
		}
	}
	a.group(&a.Types, "type", b.Type, 0).add(b)
	encoding := b.Type
	if b.Encoding != "" {
		encoding += "/" + b.Encoding
	}
	a.group(&a.Encodings, "encoding", encoding, 0).add(b)
	ttl, order := expiryClass(k.ExpireAtMs, nowMs)
	a.group(&a.Expiries, "expiry", ttl, order).add(b)
	name, order := sizeClass(b.Elements, b.Type == "string")
	a.group(&a.Elements, "elements", name, order).add(b)
	name, order = sizeClass(b.MemoryBytes, true)
	a.group(&a.Memory, "memory", name, order).add(b)
	if a.prefixSep != "" {
		a.addPrefix(k.name, b)
	}
	a.note(k, b)
}

// group finds or makes a group in a list.
func (a *analysis) group(list *[]*group, kind, name string, order int) *group {
	id := kind + "\x00" + name
	g := a.groups[id]
	if g == nil {
		g = &group{Name: name, order: order}
		a.groups[id] = g
		*list = append(*list, g)
	}
	return g
}

// addPrefix counts a key to its prefix: what stands before the first separator.
func (a *analysis) addPrefix(name []byte, b *bigKey) {
	prefix := "(none)"
	if at := bytes.Index(name, []byte(a.prefixSep)); at >= 0 {
		prefix = quote(name[:at+len(a.prefixSep)])
	}
	if len(a.Prefixes) >= maxPrefixes && a.groups["prefix\x00"+prefix] == nil {
		prefix = "(others)"
	}
	a.group(&a.Prefixes, "prefix", prefix, 0).add(b)
}

// note keeps the biggest keys: a heap would be no faster, since few keys get past the first comparison.
func (a *analysis) note(k *keyInfo, b *bigKey) {
	bigger := func(x, y bigKey) int {
		return cmp.Or(cmp.Compare(y.MemoryBytes, x.MemoryBytes), cmp.Compare(y.ValueBytes, x.ValueBytes))
	}
	n := len(a.Biggest)
	if a.topKeys == 0 || n == a.topKeys && bigger(*b, a.Biggest[n-1]) >= 0 {
		return
	}
	kept := *b
	kept.Key = quote(k.name)
	at, _ := slices.BinarySearchFunc(a.Biggest, kept, bigger)
	if a.Biggest = slices.Insert(a.Biggest, at, kept); len(a.Biggest) > a.topKeys {
		a.Biggest = a.Biggest[:a.topKeys]
	}
}

// finish brings all lists in order.
func (a *analysis) finish() {
	for _, db := range a.dbs {
		a.Databases = append(a.Databases, db)
	}
	slices.SortFunc(a.Databases, func(x, y *dbAnalysis) int { return cmp.Compare(x.DB, y.DB) })
	for _, list := range [][]*group{a.Types, a.Encodings, a.Prefixes} {
		slices.SortFunc(list, func(x, y *group) int {
			return cmp.Or(cmp.Compare(y.MemoryBytes, x.MemoryBytes), cmp.Compare(y.Keys, x.Keys),
				cmp.Compare(x.Name, y.Name))
		})
	}
	for _, list := range [][]*group{a.Expiries, a.Elements, a.Memory} {
		slices.SortFunc(list, func(x, y *group) int { return cmp.Compare(x.order, y.order) })
	}
}

// expiryClasses are the classes of times to live, each up to but not including its bound.
var expiryClasses = [...]struct {
	name  string
	below int64 // ms
}{
	{"expired", 0},
	{"less than a minute", 60_000},
	{"less than an hour", 3_600_000},
	{"less than a day", 86_400_000},
	{"less than a week", 7 * 86_400_000},
	{"less than 30 days", 30 * 86_400_000},
	{"30 days and more", 1<<63 - 1},
}

// expiryClass returns the class of a key's time to live, and its place among the others.
func expiryClass(atMs, nowMs int64) (string, int) {
	if atMs == 0 {
		return "no expiry", len(expiryClasses)
	}
	i := 0
	if atMs >= nowMs {
		for i = 1; i < len(expiryClasses)-1 && atMs-nowMs >= expiryClasses[i].below; i++ {
		}
	}
	return expiryClasses[i].name, i
}

// sizeClass returns the class of a number, powers of 4, and its place among the others; those of elements come first.
func sizeClass(n int64, isBytes bool) (string, int) {
	i := 0
	if n > 0 {
		i = (bits.Len64(uint64(n)) + 1) / 2
	}
	lo, hi := int64(1)<<(2*max(i-1, 0)), int64(1)<<(2*i)
	switch {
	case i == 0 && isBytes:
		return "0 B", 100
	case i == 0:
		return "0", 0
	case isBytes:
		return "below " + bytesText(hi), 100 + i
	}
	return fmt.Sprintf("%d to %d", lo, hi-1), i
}
