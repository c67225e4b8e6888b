package script

import (
	"fmt"
	"strings"
)

// exact shows all digits of a number; coarse hides the last ones, where C libraries differ, too.
const (
	exact  = "%.17g"
	coarse = "%.12g"
)

// callLibraries are the libraries of which TestLibrariesAgainstRedis makes calls.
var callLibraries = []callLibrary{
	{"string", exact, stringCall},
	{"format", exact, formatCall},
	{"pattern", exact, patternCall},
	{"table", exact, tableCall},
	{"sort", exact, sortCall},
	{"math", coarse, mathCall},
	{"exact math", exact, exactMathCall},
	{"base", exact, baseCall},
	{"bit", exact, bitCall},
	{"struct", exact, structCall},
	{"cmsgpack pack", exact, packCall},
	{"cmsgpack unpack", exact, unpackCall},
	{"cjson encode", exact, jsonEncodeCall},
	{"cjson decode", exact, jsonDecodeCall},
	{"cjson settings", exact, jsonSettingsCall},
}

func (g *callGen) string() string { return quoteLua(g.text("abcdefABC012 ,.\x00\n\xe4", 12)) }

func stringCall(g *callGen) call {
	switch name := g.pick("byte", "char", "len", "lower", "rep", "reverse", "sub", "upper", "sub method",
		"dump"); name {
	case "byte", "sub":
		return call{"string." + name, g.args(g.string, g.integer, g.integer), ""}
	case "char":
		args := make([]string, g.IntN(5))
		for i := range args {
			args[i] = fmt.Sprint(g.IntN(300) - 20)
			if g.chance(10) {
				args[i] = g.any()
			}
		}
		return call{"string.char", args, ""}
	case "rep":
		count := func() string { return g.pick("0", "1", "2", "7", "-1", "2.9", "2^32+2", "-2^31", `"3"`, "300") }
		args := []string{g.string(), count()}
		if g.chance(8) {
			args[0] = g.any()
		}
		return call{"string.rep", args[:len(args)-g.IntN(8)/7], ""}
	case "sub method":
		return call{"(" + g.string() + "):sub", g.args(g.integer, g.integer), ""}
	case "dump":
		return call{"string.dump", []string{g.pick("nil", "{}", "1", "tostring")}, ""}
	default:
		return call{"string." + name, g.args(g.string), ""}
	}
}

func formatCall(g *callGen) call {
	var b strings.Builder
	var args []string
	for range g.IntN(3) + 1 {
		b.WriteString(g.text("ab%% ", 2))
		b.WriteString("%" + g.text("-+ #0", 3))
		if g.chance(2) {
			fmt.Fprint(&b, g.IntN(30))
		}
		if g.chance(2) {
			fmt.Fprintf(&b, ".%s", g.pick("", "0", "1", "3", "14", "17", "20", "99", "120"))
		}
		switch letter := g.pick("d", "i", "u", "o", "x", "X", "e", "E", "f", "g", "G", "c", "s", "q", "s", "d", "g",
			"a", "F", "p", "",
			"\x00", "%", "n", "5"); letter {
		case "s", "q":
			b.WriteString(letter)
			if g.chance(8) {
				args = append(args, fmt.Sprintf("string.rep(%s, %d)", g.string(), g.IntN(30)))
			} else {
				args = append(args, g.string())
			}
		default:
			b.WriteString(letter)
			args = append(args, g.number())
		}
	}
	for i := range args {
		if g.chance(30) {
			args[i] = g.any()
		}
	}
	if g.chance(30) && len(args) > 0 {
		args = args[1:]
	}
	return call{"string.format", append([]string{quoteLua(b.String())}, args...), ""}
}

// pattern is a pattern, mostly a sound one.
func (g *callGen) pattern(depth int) string {
	if g.chance(12) {
		return g.text("ab%().*+-?[]^$bf12\x00", 10)
	}
	var b strings.Builder
	if g.chance(8) {
		b.WriteByte('^')
	}
	for range g.IntN(4) + 1 {
		switch g.IntN(12) {
		case 0:
			if depth < 4 {
				b.WriteString("(" + g.pattern(depth+1) + ")")
			}
		case 1:
			b.WriteString("()")
		case 2:
			b.WriteString("%b" + g.pick("()", "ab", "aa", "[]"))
		case 3:
			b.WriteString("%f" + g.set())
		case 4:
			b.WriteString("%" + g.pick("1", "2", "0", "9"))
		case 5, 6:
			b.WriteString(g.set() + g.pick("", "*", "+", "-", "?"))
		case 7, 8:
			b.WriteString("%" + g.pick("a", "c", "d", "l", "p", "s", "u", "w", "x", "z", "A", "D", "S", "W", "Z",
				".", "%", "]", "g") +
				g.pick("", "*", "+", "-", "?"))
		default:
			b.WriteString(g.pick("a", "b", "c", ".", "a", "b", "(", ")", "-", " ") + g.pick("", "", "*", "+", "-",
				"?"))
		}
	}
	if g.chance(8) {
		b.WriteByte('$')
	}
	return b.String()
}

func (g *callGen) set() string {
	return "[" + g.pick("", "", "^") + g.pick("", "]", "-") + g.text("abc12%w-z.^", 5) + g.pick("", "a-c", "%d",
		"%]", "-") + "]"
}

// subject is a text that patterns may match.
func (g *callGen) subject() string { return quoteLua(g.text("aaabbbcc ()[]12.%-\x00\xff", 14)) }

func (g *callGen) quotedPattern() string { return quoteLua(g.pattern(0)) }

func (g *callGen) replacement() string {
	switch g.IntN(5) {
	case 0:
		return "{a = 1, b = false, aa = 'x', [1] = 'one', ab = {}}"
	case 1:
		return "function(...) return " + g.pick("...", "select('#', ...)", "nil", "false", "true", "{}", "'x'",
			"1.5") + " end"
	case 2:
		return g.number()
	}
	return quoteLua(g.text("ab%%%%012%w", 6))
}

func patternCall(g *callGen) call {
	switch g.IntN(5) {
	case 0:
		return call{"string.find", g.args(g.subject, g.quotedPattern, g.integer,
			func() string { return g.pick("true", "false", "nil") }), ""}
	case 1:
		return call{"string.match", g.args(g.subject, g.quotedPattern, g.integer), ""}
	case 2:
		return call{"matches", g.args(g.subject, g.quotedPattern), ""}
	case 3:
		return call{"string.find", g.args(g.subject, g.quotedPattern), ""}
	}
	return call{"string.gsub", g.args(g.subject, g.quotedPattern, g.replacement, g.integer), ""}
}

// list is a table without holes.
func (g *callGen) list() string {
	items := make([]string, g.IntN(8))
	for i := range items {
		items[i] = g.pick("1", "2", "3", "'a'", "'b'", "1.5", "true", "{}", "'10'", "-zero", "1e15")
		if !g.chance(3) {
			items[i] = g.pick("1", "2", "'a'", "'b'")
		}
	}
	return "{" + strings.Join(items, ", ") + "}"
}

func (g *callGen) table() string {
	if g.chance(4) {
		return "{1, 2, x = 3, [10] = 4, [1.5] = 5, [-1] = 6}"
	}
	return g.list()
}

func tableCall(g *callGen) call {
	position := func() string { return fmt.Sprint(g.IntN(12) - 3) }
	small := func() string { return g.pick("nil", "1", "2", "'x'", "{}", "false") }
	// What a function does to its table is the second result.
	wrap := func(name string, args []string) call {
		return call{"(function(t, ...) local r = {pcall(table." + name + ", t, ...)} return t, #r, unpack(r) end)",
			args, ""}
	}
	switch name := g.pick("concat", "foreach", "foreachi", "getn", "insert", "maxn", "remove", "setn", "insert",
		"remove"); name {
	case "concat":
		return call{"table.concat", g.args(g.list, func() string { return g.pick("','", "''", "nil", "1") },
			position, position), ""}
	case "foreach", "foreachi":
		return call{"table." + name, g.args(g.list, func() string {
			return g.pick("function(k, v) return v == 2 or nil end", "function(k) return k end", "function() end",
				"function(k, v) error('x') end", "1")
		}), ""}
	case "insert":
		if g.chance(3) {
			return wrap(name, g.args(g.list, small))
		}
		return wrap(name, g.args(g.list, position, small))
	case "remove":
		if g.chance(3) {
			return wrap(name, g.args(g.list))
		}
		return wrap(name, g.args(g.list, position))
	case "maxn":
		return call{"table.maxn", g.args(g.table), ""}
	default:
		return call{"table." + name, g.args(g.list), ""}
	}
}

// sortCall compares the order of equal elements, and what comparisons are made.
func sortCall(g *callGen) call {
	items := make([]string, g.IntN(40))
	for i := range items {
		items[i] = fmt.Sprintf("{%d, %d}", g.IntN(8), i)
	}
	less := g.pick("a[1] < b[1]", "a[1] > b[1]", "a[1] <= b[1]", "a[1] % 2 < b[1] % 2", "true", "false",
		"a[2] * 7 % 5 < b[2] * 3 % 5",
		"a[1] < b[1] and #log < 40")
	if g.chance(4) {
		return call{"(function(t, less) table.sort(t, less) return t end)", g.args(g.list), ""}
	}
	less = "function(a, b, log) return " + less + " end"
	return call{"sortLog", []string{"{" + strings.Join(items, ", ") + "}", less}, ""}
}

func mathCall(g *callGen) call {
	name := g.pick("acos", "asin", "atan", "atan2", "cos", "cosh", "deg", "exp", "log", "log10", "pow", "rad", "sin",
		"sinh", "tan", "tanh")
	if name == "atan2" || name == "pow" {
		return call{"math." + name, g.args(g.number, g.number), ""}
	}
	if name == "sin" || name == "cos" || name == "tan" {
		small := func() string { return fmt.Sprintf("%.17g", g.NormFloat64()*10) }
		return call{"math." + name, g.args(small), ""}
	}
	return call{"math." + name, g.args(g.number), ""}
}

func exactMathCall(g *callGen) call {
	switch name := g.pick("abs", "ceil", "floor", "fmod", "frexp", "ldexp", "max", "min", "mod", "modf", "sqrt",
		"random", "log10", "pow",
		"log", "exp"); name {
	case "fmod", "mod", "max", "min":
		return call{"math." + name, g.args(g.number, g.number), ""}
	case "ldexp":
		return call{"math.ldexp", g.args(g.number, g.integer), ""}
	case "log10", "log":
		return call{"math." + name, g.args(func() string {
			return g.pick("1", "10", "100", "1000", "1e15", "1e22", "0.001", "2", "8", "1024", "0", "-1")
		}), ""}
	case "exp":
		return call{"math.exp", g.args(func() string { return g.pick("0", "1", "-1", "2", "10", "0.5", "700") }), ""}
	case "pow":
		// Above 2^53 the result may lie just between two doubles, where the C library takes either.
		return call{"math.pow", []string{fmt.Sprint(g.IntN(21)), fmt.Sprint(g.IntN(13))}, ""}
	case "random":
		bound := func() string { return g.pick("1", "2", "6", "100", "-3", "0", "2^31-1", "-2^31", "1.5") }
		return call{"randoms", g.args(g.number, bound, bound), ""}
	default:
		return call{"math." + name, g.args(g.number), ""}
	}
}

func baseCall(g *callGen) call {
	switch g.IntN(10) {
	case 0, 1:
		return call{"tonumber", g.args(g.numberText), ""}
	case 2:
		digits := func() string { return quoteLua(g.text("0123456789abcxyzXZ+- \x00", 6)) }
		return call{"tonumber", g.args(digits, func() string { return fmt.Sprint(g.IntN(40) - 1) }), ""}
	case 3:
		return call{"select", append([]string{g.pick("'#'", "1", "2", "-1", "-2", "0", "9", "-9", "'#x'", "'2'",
			"'x'", "nil")}, g.args(g.any, g.any)...), ""}
	case 4:
		return call{"unpack", g.args(g.list, g.integer, g.integer), ""}
	case 5:
		return call{"next", g.args(g.list, func() string { return g.pick("nil", "1", "2", "99", "'x'", "1.5") }), ""}
	case 6:
		return call{"rawequal", g.args(g.any, g.any), ""}
	case 7:
		return call{"rawget", g.args(g.table, g.any), ""}
	case 8:
		return call{"walk", g.args(g.table), ""}
	}
	return call{g.pick("type", "pairs", "ipairs", "next", "unpack", "tonumber"), g.args(g.any), ""}
}

func bitCall(g *callGen) call {
	name := g.pick("arshift", "band", "bnot", "bor", "bswap", "bxor", "lshift", "rol", "ror", "rshift", "tobit",
		"tohex")
	return call{"bit." + name, g.args(g.number, g.number), ""}
}

// structFormat is a format, its values and how many bytes they may take.
func (g *callGen) structFormat() (format string, values []string) {
	var b strings.Builder
	for range g.IntN(6) + 1 {
		switch option := g.pick("b", "B", "h", "H", "l", "L", "T", "i", "I", "f", "d", "s", "x", "c", "<", ">", "!",
			" ", "?", "i", "z"); option {
		case "i", "I":
			b.WriteString(option + g.pick("", "", "1", "2", "3", "4", "5", "7", "8", "9", "12", "16", "32", "33",
				"0", "99999999999"))
			values = append(values, g.number())
		case "b", "B", "h", "H", "l", "L", "T", "f", "d":
			b.WriteString(option)
			values = append(values, g.number())
		case "s":
			b.WriteString(option)
			values = append(values, quoteLua(g.text("abc\x00", 5)))
		case "c":
			b.WriteString(option + g.pick("", "0", "1", "3", "5", "2147483647", "2147483648"))
			values = append(values, quoteLua(g.text("abc\x00", 5)))
		case "!":
			b.WriteString(option + g.pick("", "1", "2", "4", "8", "16", "3", "0", "2147483648"))
		case "?":
			if g.chance(6) {
				b.WriteString(g.pick("y", "?", "\x00", "5", "m"))
			}
		case "z":
			if g.chance(3) {
				b.WriteString("Bc0")
				values = append(values, "2", quoteLua(g.text("abc", 5)))
			}
		default:
			b.WriteString(option)
		}
	}
	return quoteLua(b.String()), values
}

func structCall(g *callGen) call {
	format, values := g.structFormat()
	switch g.IntN(5) {
	case 0:
		return call{"struct.size", []string{format}, ""}
	case 1, 2:
		for i := range values {
			if g.chance(40) {
				values[i] = g.any()
			}
		}
		if g.chance(20) && len(values) > 0 {
			values = values[1:]
		}
		return call{"struct.pack", append([]string{format}, values...), ""}
	}
	data := func() string { return quoteLua(g.text("\x00\x01\x02\x03\x7f\x80\xff\xfeabc", 40)) }
	position := func() string { return g.pick("1", "1", "2", "5", "0", "-1", "100", "nil", "2^31", "2^62", "-2^63") }
	return call{"struct.unpack", g.args(func() string { return format }, data, position), ""}
}

// value is a value that can be encoded, mostly.
func (g *callGen) value(depth int) string {
	switch g.IntN(8) {
	case 0:
		return g.pick("true", "false", "nil", "cjson.null", "function() end")
	case 1, 2:
		return g.number()
	case 3:
		return quoteLua(g.text("abc\"\\/\b\f\n\r\t\x00\x1f\x7f\xc3\xa4\xff", 8))
	case 4:
		return fmt.Sprintf("string.rep('x', %s)", g.pick("0", "31", "32", "255", "256", "65535", "65536"))
	case 5:
		if depth < 5 {
			return "{" + strings.Join([]string{g.value(depth + 1), g.value(depth + 1),
				g.value(depth + 1)}[:g.IntN(4)], ", ") + "}"
		}
	case 6:
		if depth < 5 {
			return "{[" + g.pick("'a'", "'b'", "1", "2", "3", "30", "-1", "0", "1.5", "2^31", "1e10", "'1'",
				"true") + "] = " + g.value(depth+1) + "}"
		}
	}
	return fmt.Sprint(g.IntN(70000) - 300)
}

func packCall(g *callGen) call {
	args := make([]string, g.IntN(4))
	for i := range args {
		args[i] = g.value(0)
	}
	if g.chance(20) {
		n := fmt.Sprint(g.IntN(20))
		return call{"(function(n) local t = {} for i = 1, n do t = {t} end return cmsgpack.pack(t) end)",
			[]string{n}, ""}
	}
	return call{"cmsgpack.pack", args, ""}
}

// packed are bytes that cmsgpack.unpack may take.
func (g *callGen) packed() string {
	if g.chance(3) {
		return "cmsgpack.pack(" + g.value(0) + ", " + g.value(0) + ")"
	}
	var b strings.Builder
	for range g.IntN(6) {
		switch g.IntN(4) {
		case 0:
			b.WriteByte(byte(0xc0 + g.IntN(32)))
		case 1:
			b.WriteString(g.pick("\x90", "\x91", "\x92", "\x80", "\x81", "\xa0", "\xa2", "\x01", "\xff", "\xe0"))
		case 2:
			b.WriteByte(byte(g.IntN(256)))
		default:
			b.WriteString(g.text("\x00\x01\x02\x80\xff\x7f", 8))
		}
	}
	return quoteLua(b.String())
}

func unpackCall(g *callGen) call {
	offset := func() string { return fmt.Sprint(g.IntN(8) - 1) }
	switch g.IntN(3) {
	case 0:
		return call{"cmsgpack.unpack", g.args(g.packed), ""}
	case 1:
		return call{"cmsgpack.unpack_one", g.args(g.packed, offset), ""}
	}
	return call{"cmsgpack.unpack_limit", g.args(g.packed, offset, offset), ""}
}

// jsonEncodeCall encodes. Objects of more than one key are decoded again, since their order isn't Lua's.
func jsonEncodeCall(g *callGen) call {
	v := g.value(0)
	if g.chance(4) {
		setting := g.pick("encode_invalid_numbers('null')", "encode_invalid_numbers(true)",
			"encode_sparse_array(true)",
			"encode_sparse_array(true, 1, 2)", "encode_sparse_array(false, 0)", "encode_number_precision(3)",
			"encode_max_depth(2)",
			"encode_sparse_array(false, 2147483647, 1)")
		return call{"(function(v) local j = cjson.new() j." + setting + " return j.encode(v) end)", []string{v}, ""}
	}
	if g.chance(4) { // of several values that can't be encoded either may be met first
		return call{"encodeSeveral", []string{v, g.value(0)}, ""}
	}
	if g.chance(8) {
		return call{"cjson.encode", g.args(func() string { return v }), ""}
	}
	return call{"cjson.encode", []string{v}, ""}
}

// json is a text in JSON, mostly a sound one.
func (g *callGen) json(depth int) string {
	blank := g.pick("", "", " ", "\n\t\r ")
	switch g.IntN(9) {
	case 0:
		return blank + g.pick("true", "false", "null", "nul", "True", "tru", "nullx")
	case 1:
		return blank + g.pick("1", "-1", "0", "-0", "1.5", "1e5", "1E+5", "-", "+1", "01", "0x10", "0x", "inf",
			"Infinity", "-inf", "nan", "NaN",
			"-nan", "nan(1)", "1.", ".5", "1e", "--1", "1e400", "12345678901234567890", "- 1", "i", "n", "N", "1a",
			"infinit")
	case 2, 3:
		return blank + `"` + g.text("abc", 4) + g.pick("", `\n`, `\"`, `\\`, `\/`, `\b\f\r\t`, `\u0041`, `\u00e4`,
			`\u20ac`, `\ud83d\ude00`, `\ud83d`,
			`\ude00`, `\ud83dx`, `\ud83d\u0041`, `\u12`, `\uzzzz`, `\x`, `\`, "\x00", "\x7f\xff", "\n", `\u0000`,
			`\U0041`) + g.pick(`"`, `"`, `"`, "")
	case 4, 5:
		if depth < 4 {
			items := []string{g.json(depth + 1), g.json(depth + 1), g.json(depth + 1)}[:g.IntN(4)]
			return blank + "[" + strings.Join(items, g.pick(",", ",", ",", ", ", ";", "")) + blank + g.pick("]", "]",
				"]", "]", "", ",]", "}")
		}
	case 6, 7:
		if depth < 4 {
			items := []string{`"a":` + g.json(depth+1), `"b" : ` + g.json(depth+1), g.json(depth+1) + g.pick(":",
				"") + g.json(depth+1)}
			return blank + "{" + strings.Join(items[:g.IntN(2)+g.IntN(2)+g.IntN(5)/4], ",") + g.pick("}", "}", "}",
				"", ",}", "]")
		}
	}
	return blank + fmt.Sprint(g.IntN(1000))
}

func jsonDecodeCall(g *callGen) call {
	text := g.json(0) + g.pick("", "", "", " ", "x", ",", "]", "\x00x")
	if g.chance(10) {
		text = g.text(`{}[]:,"\0123e+-.truefalsn `+"\x00\xff", 12)
	}
	if g.chance(4) {
		setting := g.pick("decode_invalid_numbers(false)", "decode_max_depth(2)", "decode_invalid_numbers('on')")
		return call{"(function(s) local j = cjson.new() j." + setting + " return j.decode(s) end)",
			[]string{quoteLua(text)}, ""}
	}
	return call{"cjson.decode", g.args(func() string { return quoteLua(text) }), ""}
}

func jsonSettingsCall(g *callGen) call {
	setting := g.pick("encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision",
		"encode_keep_buffer",
		"encode_invalid_numbers", "decode_invalid_numbers")
	value := func() string {
		return g.pick("true", "false", "nil", "'on'", "'off'", "'null'", "'x'", "0", "1", "2", "14", "15", "16",
			"17", "-1", "2^31", "1.5", "'3'", "{}")
	}
	args := []string{value(), value(), value(), value()}[:g.IntN(3)+g.IntN(3)/2]
	if setting == "encode_sparse_array" {
		args = []string{value(), value(), value(), value()}[:g.IntN(5)]
	}
	return call{"cjson.new()." + setting, args, ""}
}
