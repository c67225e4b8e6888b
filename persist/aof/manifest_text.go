package aof

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"fulmen/persist/lines"
	"fulmen/persist/log"
)

// The manifest is text as package lines has it: exactly these lines, in this order.
//
//	fulmen-aof 1                                                   the version of the format
//	features none                                                  that a reader has to know; there are none so far
//	directory 0123456789abcdef                                     Manifest.DirID
//	databases 16
//	shards 8
//	replid 4ae0…                                                   40 digits
//	replid2 77d1… lsn 8812                                         or "replid2 none"; the position
//	earlier 90ab… lsn 7700                                         Manifest.Earlier, as many as there are
//	position 9100 at 8900 moving from 8812 db 0                    Manifest.Position, unless it is zero; or "fixed"
//	incarnation 3 start 100 end 220 clean                          as many as there are, ascending …
//	incarnation 4 start 220 end 300 unclean missing 12 from 250    Incarnation.MissingBytes, unless there are none,
//	                                                               and HoleLSN, unless that isn't known
//	incarnation 5 start 300 running with ring /dev/shm             … the last one may be running; Incarnation.RingDir,
//	                                                               escaped as in a URL, unless there is none; or
//	incarnation 5 start 300 running in boot 8c0d… device 000000000000fe00 inode 000000000000002a with ring /dev/shm
//	                                                               Incarnation.Site, unless that isn't known
//	base 0 seq 2 incarnation 4 lsn 250 ms 17225… rdb live size 70123 crc64 0123456789abcdef keys 1000
//	incr 0 seq 2 incarnation 4 lsn 250 ms 17225… aof live          the shard, of a base or "all"; live or history
//	checksum 00112233aabbccdd                                      of all lines before
//
// Whatever is not like this is refused, and so is a version or a feature that is not known.

const (
	manifestVersion = 1
	// maxManifestBytes bounds what is read: some hundred generations of the most shards.
	maxManifestBytes = 16 << 20
	replIDDigits     = 40
	noFeatures       = "none"
	noReplID         = "none"
	positionMoving   = "moving"
	positionFixed    = "fixed"
)

// AppendText appends the manifest as it is written.
func (m *Manifest) AppendText(dst []byte) []byte {
	from := len(dst)
	dst = fmt.Appendf(dst, "fulmen-aof %d\nfeatures %s\ndirectory %016x\ndatabases %d\nshards %d\nreplid %s\n",
		manifestVersion, noFeatures, m.DirID, m.Databases, m.Shards, m.ReplID)
	if m.ReplID2 == "" {
		dst = fmt.Appendf(dst, "replid2 %s\n", noReplID)
	} else {
		dst = fmt.Appendf(dst, "replid2 %s lsn %d\n", m.ReplID2, m.ReplID2LSN)
	}
	for _, a := range m.Earlier {
		dst = fmt.Appendf(dst, "earlier %s lsn %d\n", a.ReplID, a.Position)
	}
	if p := m.Position; p != (Position{}) {
		kind := positionMoving
		if p.Fixed {
			kind = positionFixed
		}
		dst = fmt.Appendf(dst, "position %d at %d %s from %d db %d\n", p.Offset, p.LSN, kind, p.From, p.DB)
	}
	for _, i := range m.Incarnations {
		dst = fmt.Appendf(dst, "incarnation %d start %d", i.Number, i.StartLSN)
		if i.State != Running {
			dst = fmt.Appendf(dst, " end %d", i.EndLSN)
		}
		dst = fmt.Appendf(dst, " %v", i.State)
		if i.MissingBytes != 0 {
			dst = fmt.Appendf(dst, " missing %d", i.MissingBytes)
		}
		if i.HoleLSN != 0 {
			dst = fmt.Appendf(dst, " from %d", i.HoleLSN)
		}
		if i.State == Running && i.Site != (Site{}) {
			dst = fmt.Appendf(dst, " in boot %x device %016x inode %016x", i.Site.Boot, i.Site.Device, i.Site.Inode)
		}
		if i.State == Running && i.RingDir != "" {
			dst = fmt.Appendf(dst, " with ring %s", escapeDir(i.RingDir))
		}
		dst = append(dst, '\n')
	}
	for i := range m.Files {
		dst = m.Files[i].appendText(dst)
	}
	return lines.AppendChecksum(dst, from)
}

func (f *File) appendText(dst []byte) []byte {
	use := "live"
	if f.History {
		use = "history"
	}
	dst = fmt.Appendf(dst, "%v %s seq %d incarnation %d lsn %d ms %d %v %s",
		f.Kind, shardWord(f.Shard), f.Seq, f.Incarnation, f.LSN, f.CreatedMs, f.Format, use)
	if f.Kind == Base {
		dst = fmt.Appendf(dst, " size %d crc64 %016x keys %d", f.SizeBytes, f.CRC64, f.Keys)
	}
	return append(dst, '\n')
}

// ParseManifest takes the text of a manifest; file is its name for errors, which are *CorruptError.
func ParseManifest(file string, data []byte) (*Manifest, error) {
	p := manifestParser{lines.NewParser(data)}
	m := p.manifest()
	if e := p.Err(); e != nil {
		err := e.Err
		if errors.Is(err, lines.ErrChecksum) {
			err = ErrChecksum
		}
		return nil, &CorruptError{File: file, Offset: e.Offset, Reason: e.Reason, Err: err}
	}
	return m, nil
}

// manifestParser reads the lines that a manifest has.
type manifestParser struct{ *lines.Parser }

func (p manifestParser) manifest() *Manifest {
	if version := p.Number("fulmen-aof %", lines.MaxNumber); version != manifestVersion {
		p.FailWith(ErrVersion, "format version %d, this program knows %d", version, manifestVersion)
	}
	if words := p.Line("features %"); words[0] != noFeatures {
		p.FailWith(ErrVersion, "needs feature %q, which this program doesn't know", words[0])
	}
	m := &Manifest{
		DirID:     p.Hex(p.Line("directory %")[0]),
		Databases: int(p.Number("databases %", 1<<31-1)),
		Shards:    int(p.Number("shards %", log.MaxShards)),
		ReplID:    p.replID(p.Line("replid %")[0]),
	}
	if m.Databases == 0 || m.Shards == 0 {
		p.Fail("0 where a number above is needed")
	}
	p.replID2(m)
	p.position(m)
	for p.Next("incarnation") {
		m.Incarnations = append(m.Incarnations, p.incarnation(m))
	}
	if len(m.Incarnations) == 0 {
		p.Fail("no incarnation")
	}
	for p.Next(Base.String()) || p.Next(Incr.String()) {
		m.Files = append(m.Files, p.file(m))
	}
	p.Checksum()
	return m
}

func (p manifestParser) replID(word string) string {
	if len(word) != replIDDigits || strings.Trim(word, "0123456789abcdef") != "" {
		p.Fail("not a replication id")
	}
	return word
}

func (p manifestParser) replID2(m *Manifest) {
	if p.NextIs("replid2 " + noReplID) {
		p.Line("replid2 " + noReplID)
		return
	}
	words := p.Line("replid2 % lsn %")
	m.ReplID2, m.ReplID2LSN = p.replID(words[0]), p.Decimal(words[1], lines.MaxNumber)
}

// position reads what follows the second replid.
func (p manifestParser) position(m *Manifest) {
	for p.Next("earlier") {
		words := p.Line("earlier % lsn %")
		m.Earlier = append(m.Earlier, Ancestor{p.replID(words[0]), p.Decimal(words[1], lines.MaxNumber)})
	}
	if len(m.Earlier) > MaxAncestors || len(m.Earlier) > 0 && m.ReplID2 == "" {
		p.Fail("earlier replids that there can't be")
	}
	if !p.Next("position") {
		return
	}
	words := p.Line("position % at % % from % db %")
	m.Position = Position{
		Offset: p.Decimal(words[0], lines.MaxNumber), LSN: p.Decimal(words[1], lines.MaxNumber),
		Fixed: words[2] == positionFixed, From: p.Decimal(words[3], lines.MaxNumber),
		DB: int(p.Decimal(words[4], 1<<31-1)),
	}
	if !m.Position.Fixed && words[2] != positionMoving || m.Position == (Position{}) ||
		m.Position.From > m.Position.LSN {
		p.Fail("not a position")
	}
}

// dir takes a word for a directory's name.
func (p manifestParser) dir(word string) string {
	dir, err := url.PathUnescape(word)
	if err != nil || dir == "" || escapeDir(dir) != word {
		p.Fail("not a directory's name")
	}
	return dir
}

// boot takes a word for a boot id.
func (p manifestParser) boot(word string) (id [16]byte) {
	b, err := hex.DecodeString(word)
	if err != nil || len(b) != len(id) || hex.EncodeToString(b) != word {
		p.Fail("not a boot id")
		return id
	}
	return [16]byte(b)
}

// escapeDir returns a directory's name as the one word that stands for it.
func escapeDir(dir string) string { return (&url.URL{Path: dir}).EscapedPath() }

// incarnation reads a line and compares it with the ones before.
func (p manifestParser) incarnation(m *Manifest) Incarnation {
	var i Incarnation
	words := p.Either("incarnation % start % running", "incarnation % start % running with ring %",
		"incarnation % start % end % %", "incarnation % start % end % % missing %",
		"incarnation % start % end % % missing % from %",
		"incarnation % start % % % boot % device % inode %",
		"incarnation % start % % % boot % device % inode % with ring %")
	i.Number, i.StartLSN = uint32(p.Decimal(words[0], 1<<32-1)), p.Decimal(words[1], lines.MaxNumber)
	switch n := len(words); {
	case n == 3:
		i.RingDir = p.dir(words[2])
	case n >= 7:
		if words[2] != Running.String() || words[3] != "in" {
			p.Fail("no site but of an incarnation that is running")
		}
		i.Site = Site{p.boot(words[4]), p.Hex(words[5]), p.Hex(words[6])}
		if i.Site == (Site{}) {
			p.Fail("a site that is none")
		}
		if n == 8 {
			i.RingDir = p.dir(words[7])
		}
	case n > 3:
		p.ended(&i, words[2:])
	}
	if len(m.Incarnations) == 0 {
		return i
	}
	if before := m.Last(); before.State == Running || before.Number >= i.Number || before.EndLSN > i.StartLSN {
		p.Fail("not an incarnation that can follow the one before")
	}
	return i
}

// ended takes the words of an incarnation that has ended, from that of its end on.
func (p manifestParser) ended(i *Incarnation, words []string) {
	i.EndLSN = p.Decimal(words[0], lines.MaxNumber)
	switch words[1] {
	case Clean.String():
		i.State = Clean
	case Unclean.String():
		i.State = Unclean
	default:
		p.Fail("unknown state of an incarnation")
	}
	if i.EndLSN < i.StartLSN {
		p.Fail("an incarnation that ends before it starts")
	}
	if len(words) > 2 {
		i.MissingBytes = p.Decimal(words[2], lines.MaxNumber)
		if i.State != Unclean || i.MissingBytes == 0 || i.MissingBytes > i.EndLSN-i.StartLSN {
			p.Fail("an incarnation that misses more than it can")
		}
	}
	if len(words) > 3 {
		i.HoleLSN = p.Decimal(words[3], lines.MaxNumber)
		if i.HoleLSN < i.StartLSN || i.HoleLSN >= i.EndLSN || i.HoleLSN == 0 {
			p.Fail("an incarnation that misses what is no part of it")
		}
	}
}

// file reads a line and compares it with the ones before.
func (p manifestParser) file(m *Manifest) File {
	var f File
	var words []string
	if p.Next(Incr.String()) {
		f.Kind = Incr
		words = p.Line("incr % seq % incarnation % lsn % ms % % %")
	} else {
		words = p.Line("base % seq % incarnation % lsn % ms % % % size % crc64 % keys %")
		f.SizeBytes = int64(p.Decimal(words[7], lines.MaxNumber))
		f.CRC64 = p.Hex(words[8])
		f.Keys = int64(p.Decimal(words[9], lines.MaxNumber))
	}
	var okShard, okFormat bool
	f.Shard, okShard = parseShard(words[0])
	f.Seq = p.Decimal(words[1], lines.MaxNumber)
	f.Incarnation = uint32(p.Decimal(words[2], 1<<32-1))
	f.LSN = p.Decimal(words[3], lines.MaxNumber)
	f.CreatedMs = int64(p.Decimal(words[4], lines.MaxNumber))
	f.Format, okFormat = parseFormat(words[5])
	f.History = words[6] == "history"
	switch i := m.Incarnation(f.Incarnation); {
	case !okShard || f.Shard >= m.Shards || f.Kind == Incr && f.Shard == AllShards:
		p.Fail("no such shard")
	case !okFormat || f.Kind == Incr && f.Format != FormatAOF:
		p.Fail("unknown format")
	case !f.History && words[6] != "live":
		p.Fail("neither live nor history")
	case f.Seq == 0 || len(m.Files) > 0 && CompareFiles(m.Files[len(m.Files)-1], f) >= 0:
		p.Fail("not a file that can follow the one before")
	case i == nil:
		p.Fail("no such incarnation")
	case f.Kind == Incr && f.LSN < i.StartLSN:
		p.Fail("begins before its incarnation")
	}
	return f
}
