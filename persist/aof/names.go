package aof

import (
	"fmt"
	"path/filepath"
	"strings"

	"fulmen/persist/lines"
	"fulmen/persist/log"
)

// Kind tells the two kinds of files that a manifest names.
type Kind uint8

// The kinds of files.
const (
	Base Kind = iota // everything that a shard held at a cut
	Incr             // what was written since
)

// String gives the word that names and manifests have for it.
func (k Kind) String() string { return [...]string{"base", "incr"}[k] }

// Format tells how a file's content is written.
type Format uint8

// The formats. An INCR file of ours is always FormatAOF.
const (
	FormatRDB Format = iota // an RDB file, or an LZ4 frame of one
	FormatAOF               // frames, or in a base commands in RESP
)

// String gives the ending of file names, which manifests use too.
func (f Format) String() string { return [...]string{"rdb", "aof"}[f] }

// AllShards is File.Shard of a BASE file that holds the data of all shards.
const AllShards = -1

// ManifestName returns the path of the manifest in the directory dir, which is appenddirname's, of the AOF called
// appendfilename.
func ManifestName(dir, appendfilename string) string {
	return filepath.Join(dir, appendfilename+".manifest")
}

// BeginningName returns the path of a file that is there while an AOF begins beside which there is no manifest: its
// files are promised to nobody, whatever is in them, as long as there is none.
func BeginningName(dir, appendfilename string) string {
	return filepath.Join(dir, appendfilename+".beginning")
}

// Name returns the file's name, without directory, in the AOF called appendfilename.
func (f *File) Name(appendfilename string) string {
	return fmt.Sprintf("%s.%d.%v.%s.%v", appendfilename, f.Seq, f.Kind, shardWord(f.Shard), f.Format)
}

// Path returns the file's name with directory.
func (f *File) Path(dir, appendfilename string) string {
	return filepath.Join(dir, f.Name(appendfilename))
}

// ParseName undoes File.Name; it sets Seq, Kind, Shard and Format. ok is false for names that are not of the AOF called
// appendfilename, its manifest's among them.
func ParseName(appendfilename, name string) (f File, ok bool) {
	rest, ok := strings.CutPrefix(name, appendfilename+".")
	words := strings.Split(rest, ".")
	if !ok || len(words) != 4 {
		return File{}, false
	}
	if f.Seq, ok = lines.ParseNumber(words[0]); !ok || f.Seq == 0 {
		return File{}, false
	}
	var okKind, okShard, okFormat bool
	f.Kind, okKind = parseKind(words[1])
	f.Shard, okShard = parseShard(words[2])
	f.Format, okFormat = parseFormat(words[3])
	if !okKind || !okShard || !okFormat || f.Kind == Incr && (f.Format != FormatAOF || f.Shard == AllShards) {
		return File{}, false
	}
	return f, true
}

func shardWord(shard int) string {
	if shard == AllShards {
		return "all"
	}
	return fmt.Sprint(shard)
}

func parseShard(word string) (int, bool) {
	if word == "all" {
		return AllShards, true
	}
	n, ok := lines.ParseNumber(word)
	return int(n), ok && n < log.MaxShards
}

func parseKind(word string) (Kind, bool) {
	return Kind(b2i(word == "incr")), word == "base" || word == "incr"
}

func parseFormat(word string) (Format, bool) {
	return Format(b2i(word == "aof")), word == "rdb" || word == "aof"
}

func b2i(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
