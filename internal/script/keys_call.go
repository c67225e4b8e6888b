package script

import (
	"github.com/yuin/gopher-lua/ast"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

// callWords is what is known of the arguments of a redis.call, the command's name first.
type callWords struct {
	known []fact
	// Behind those that are known, any number of others may follow; keys: each is an element of KEYS.
	more, keys bool
}

// commandCall judges a call of redis.call or redis.pcall.
func (a *analysis) commandCall(args []ast.Expr) {
	w := a.words(args)
	if len(w.known) == 0 || w.known[0].kind == kindNone {
		if w.more {
			a.fail()
		}
		return // an error
	}
	if !a.touchesKeysOnly(w) {
		a.fail()
	}
}

// words goes through the arguments of a call.
func (a *analysis) words(args []ast.Expr) callWords {
	var w callWords
	for i, e := range args {
		last := i == len(args)-1
		single := !last || !isMulti(e) || a.returnsOne(e)
		v := a.expression(e)
		a.plain(v)
		if !single {
			w.more, w.keys = true, v.kind == kindKey
			break
		}
		w.known = append(w.known, v)
	}
	return w
}

// returnsOne tells whether a call is one of a function that always returns one value.
func (a *analysis) returnsOne(e ast.Expr) bool {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok {
		return false
	}
	switch callee := call.Func.(type) {
	case *ast.IdentExpr:
		k := a.name(callee).kind
		return k == kindSingle || k == kindCall
	case *ast.AttrGetExpr:
		object, ok := callee.Object.(*ast.IdentExpr)
		key, constant := callee.Key.(*ast.StringExpr)
		return ok && constant && a.name(object).kind == kindRedis && (key.Value == "call" || key.Value == "pcall")
	}
	return false
}

// touchesKeysOnly tells whether the command of a call touches nothing but keys that are elements of KEYS.
func (a *analysis) touchesKeysOnly(w callWords) bool {
	if w.known[0].kind != kindConstant {
		return false
	}
	name := [][]byte{[]byte(w.known[0].text)}
	if len(w.known) > 1 && w.known[1].kind == kindConstant {
		name = append(name, []byte(w.known[1].text))
	}
	row := a.row(name)
	switch {
	case row == nil || len(row.Subs) > 0 || row.Route != command.RouteKeys:
		return false
	case row.RouteOf != nil:
		if args := w.spelled(); !w.fixed(row, args, len(args)) || row.RouteOf(args) != command.RouteKeys {
			return false
		}
	case row.ForReplicas:
		return w.isKey(1)
	}
	keyed := false
	for i := range row.Keys {
		spec := &row.Keys[i]
		if spec.Flags&command.KeyNotKey != 0 {
			continue
		}
		keyed = true
		if !w.specHolds(row, spec) {
			return false
		}
	}
	return keyed && row.RunSession == nil || !keyed && touchesNoData(row)
}

// touchesNoData tells whether a command without keys needs no shard at all.
func touchesNoData(row *command.Row) bool {
	const data = command.Write | command.PubSub | command.MayReplicate | command.Admin | command.MovableKeys
	return row.Flags&command.Fast != 0 && row.Flags&data == 0
}

// isKey tells whether the argument at i, if there is one, is an element of KEYS.
func (w *callWords) isKey(i int) bool {
	if i < len(w.known) {
		return w.known[i].kind == kindKey || w.known[i].kind == kindNone
	}
	return !w.more || w.keys
}

// allKeys tells whether all arguments from the one at first on are elements of KEYS, every step-th.
func (w *callWords) allKeys(first, step int) bool {
	for i := first; i < len(w.known); i += step {
		if !w.isKey(i) {
			return false
		}
	}
	return !w.more || w.keys
}

// specHolds tells whether the keys of a spec are elements of KEYS.
func (w *callWords) specHolds(row *command.Row, spec *command.KeySpec) bool {
	switch {
	case spec.Find != nil:
		return w.foundHolds(row, spec)
	case spec.Unknown: // its row's route is that of the call
		return true
	case spec.Keyword != "" || spec.First < 1:
		return false
	case spec.Counted:
		return w.countedHolds(spec)
	case spec.Last >= 0:
		for i := spec.First; i <= spec.First+spec.Last; i += spec.Step {
			if !w.isKey(i) {
				return false
			}
		}
		return true
	case w.more:
		return w.allKeys(spec.First, spec.Step)
	}
	for i := spec.First; i <= len(w.known)+spec.Last; i += spec.Step {
		if !w.isKey(i) {
			return false
		}
	}
	return true
}

// countedHolds judges keys whose number is an argument.
func (w *callWords) countedHolds(spec *command.KeySpec) bool {
	if spec.First >= len(w.known) || w.known[spec.First].kind != kindConstant {
		return w.allKeys(spec.First+1, spec.Step)
	}
	n, ok := resp.ParseInt([]byte(w.known[spec.First].text))
	if !ok {
		return true // an error
	}
	end := int64(spec.First) + 1
	for ; n > 0 && end < int64(len(w.known)); n-- {
		if !w.isKey(int(end)) {
			return false
		}
		end += int64(spec.Step)
	}
	return n <= 0 || !w.more || w.keys
}

// foundHolds judges keys that are found by looking at the arguments. All those that are looked at must be known; behind
// a keyword that ends the options, none is.
func (w *callWords) foundHolds(row *command.Row, spec *command.KeySpec) bool {
	args := w.spelled()
	positions := spec.Find(nil, args)
	end := len(args)
	if spec.Limit > 0 && len(positions) > 0 {
		end = positions[0]
	}
	for _, i := range positions {
		if !w.isKey(i) {
			return false
		}
	}
	return w.fixed(row, args, end)
}

// spelled returns the arguments as far as they are known; an empty one stands for any other.
func (w *callWords) spelled() [][]byte {
	args := make([][]byte, len(w.known))
	for i, v := range w.known {
		if v.kind == kindConstant {
			args[i] = []byte(v.text)
		}
	}
	return args
}

// fixed tells whether where keys stand is the same whatever the arguments that aren't known are: before end there is
// none but where a key stands, which is never taken for an option.
func (w *callWords) fixed(row *command.Row, args [][]byte, end int) bool {
	keys := make([]bool, len(args))
	for _, i := range row.KeyIndexes(nil, args) {
		keys[i] = true
	}
	for i, v := range w.known[:end] {
		if v.kind != kindConstant && (!w.isKey(i) || !keys[i]) {
			return false
		}
	}
	return !w.more
}
