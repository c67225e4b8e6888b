package check

import (
	"fulmen/persist/aof"
)

// What aof-history-retain-bytes and -seconds have kept are the BASE and INCR files of before a rewrite. With these the
// data of any moment since the oldest BASE can be had, or of any at all if there is everything from the beginning on:
// by a manifest whose BASE is an earlier one, and for which all INCR files from there on count.

// asOf returns a manifest for the data of a moment: m itself if its BASE is not later, else one that begins with the
// last BASE that early isn't false for, or with nothing. nil: there is none that is early enough.
func asOf(m *aof.Manifest, early func(base *aof.File) bool) *aof.Manifest {
	seq, found := uint64(0), fromTheBeginning(m)
	late := false
	for i := range m.Files {
		f := &m.Files[i]
		switch {
		case f.Kind != aof.Base:
		case !early(f):
			late = late || !f.History
		case f.Seq > seq:
			seq, found = f.Seq, true
		}
	}
	if !late {
		return m
	}
	if !found {
		return nil
	}
	back := m.Clone()
	back.Files = nil
	for _, f := range m.Files {
		if f.Kind == aof.Base && f.Seq > seq {
			continue // of later than the moment; what no manifest names is removed by the next start
		}
		f.History = f.Seq < seq
		back.Add(f)
	}
	return back
}

// fromTheBeginning tells whether the INCR files of a manifest go back to when there was no data.
func fromTheBeginning(m *aof.Manifest) bool {
	first := &m.Files[0]
	return first.Kind == aof.Incr && first.Seq == 1 && first.Incarnation == 1 && first.LSN == 0
}

// goBack has in be what there was at an LSN or, unless untilSec is 0, at that Unix time, if history has it. It is for
// who walks to there: in has more.
func (in *aofInput) goBack(until uint64, untilSec int64) {
	if len(in.manifest.Files) == 0 {
		return
	}
	m := asOf(in.manifest, func(base *aof.File) bool {
		return base.LSN <= until && (untilSec == 0 || base.CreatedMs/1000 <= untilSec)
	})
	if m != nil {
		in.manifest = m
	}
}
