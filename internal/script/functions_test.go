package script

import (
	"slices"
	"strings"
	"testing"

	"fulmen/internal/redistest"
	"fulmen/internal/resp"
)

// libraryCodes are what is given to FUNCTION LOAD, one after the other; F stands for a function.
var libraryCodes = []string{
	"", "x", "#!", "#!lua", "#!lua\n", "#!lua name=a\n", "#!lua name=\n", "#!lua name='a\n", "#!lua name=a b=c\n",
	"#!lua name=a name=b\n", "#!luax name=a\n", "#! name=a\n", "#!lua name=a-b\nx", "#!lua name=a flags=no-writes\nx",
	"#!lua na\x00me=a\n", `#!lua "na\x00me=a"` + "\n", `#!lua "nam\x00=a"` + "\n", "#!lua name\n", "#!lua =a\n",
	"#!lua name=a\nredis.register_function()",
	"#!lua name=a\nredis.register_function(1)",
	"#!lua name=a\nredis.register_function('f')",
	"#!lua name=a\nredis.register_function(1, 2)",
	"#!lua name=a\nredis.register_function({}, 2)",
	"#!lua name=a\nredis.register_function('f', 2)",
	"#!lua name=a\nredis.register_function('f', F, 1)",
	"#!lua name=a\nredis.register_function('f-1', F)",
	"#!lua name=a\nredis.register_function('', F)",
	"#!lua name=a\nredis.register_function{}",
	"#!lua name=a\nredis.register_function{1}",
	"#!lua name=a\nredis.register_function{[1.5]=1}",
	"#!lua name=a\nredis.register_function{[true]=1}",
	"#!lua name=a\nredis.register_function{[{}]=1}",
	"#!lua name=a\nredis.register_function{function_name=1}",
	"#!lua name=a\nredis.register_function{function_name={}}",
	"#!lua name=a\nredis.register_function{callback=1}",
	"#!lua name=a\nredis.register_function{description={}}",
	"#!lua name=a\nredis.register_function{flags=1}",
	"#!lua name=a\nredis.register_function{flags={'x'}}",
	"#!lua name=a\nredis.register_function{flags={1}}",
	"#!lua name=a\nredis.register_function{flags={{}}}",
	"#!lua name=a\nredis.register_function{foo=1}",
	"#!lua name=a\nredis.register_function{function_name='x'}",
	"#!lua name=a\nredis.register_function{callback=F}",
	"#!lua name=a\nredis.register_function{function_name='x', callback=F, 1}",
	"#!lua name=a\nredis.register_function({function_name='x', callback=F}, nil)",
	"#!lua name=a\nredis.register_function('q', F) redis.register_function('q', F)",
	"#!lua name=a\nredis.register_function('q', F) redis.register_function{function_name='r', callback=F, flags=1}",
	"#!lua name=a\nredis.log(3)",
	"#!lua name=a\nredis.log('x', 'y')",
	"#!lua name=a\nredis.log(9, 'y')",
	"#!lua name=a\nredis.log(3, 'y', redis.REDIS_VERSION, redis.LOG_DEBUG + redis.REDIS_VERSION_NUM)",
	"#!lua name=a\nlocal x = redis.call",
	"#!lua name=a\nredis.call('ping')",
	"#!lua name=a\nredis.setresp(3)",
	"#!lua name=a\nlocal x = redis.REPL_ALL",
	"#!lua name=a\nlocal x = redis[1]",
	"#!lua name=a\nlocal x = redis[{}]",
	"#!lua name=a\nlocal x = KEYS",
	"#!lua name=a\nlocal x = _G",
	"#!lua name=a\nerror('x')",
	"#!lua name=a\n\nlocal x = string.rep",
	"#!lua name=a\nx = 1",
	"#!lua name=a\nredis = 1",
	"#!lua name=a\nredis.x = 1",
	"#!lua name=a\nfunction foo() end",
	"#!lua name=a\nlocal function f() return f() end f()",
	// From here on there are libraries.
	"#!lua name=first\nredis.register_function('q', F)",
	"#!lua name=first\nredis.register_function('other', F)",
	"#!lua name=second\nredis.register_function('q', F)",
	"#!lua name=second\nredis.register_function('Q', F)",
	"#!lua name=second\nredis.register_function{function_name='b', callback=F, flags={'NO-writes'}, description=1}",
	"#!lua name=First\nredis.register_function{Function_Name='c', callback=F, FLAGS={}, description=''}",
	"#!lua name=third\nredis.register_function{function_name='d', callback=F, flags={'no-writes', nil, 'x'}}",
	"#!lua name=fourth\nredis.register_function{function_name='e', callback=F, flags={'no-writes', 'no-writes', " +
		"'allow-oom', 'allow-stale', 'no-cluster', 'allow-cross-slot-keys', x='y'}}",
	"#!lua name=fifth\nredis.register_function{function_name='ab', description='a\\0b', callback=F}",
	"#!lua name=sixth \t\r\nredis.register_function(12, F)",
	"#!lua   \"name=seventh\"  \nredis.register_function('gg', F)",
	"#!lua NAME=eighth\nredis.register_function('hh', F)",
	"#!LUA name=ninth\nreturn redis.register_function('ii', F)",
	"#!lua name=tenth\nlocal t={redis.register_function('x2', F)} redis.register_function('x3', #t == 0 and F)",
	"#!lua name=eleventh\nredis.register_function('lo', redis.log)",
	"#!lua name=twelfth\nfor i = 1, 3 do redis.register_function('f' .. i, F) end",
	"#!lua name=thirteenth\nlocal n = 0 redis.register_function('count', function() n = n + 1 return n end)",
	"#!lua name=last\nlocal r = redis\n" +
		"redis.register_function('again', function() r.register_function('x', function() end) end)\n" +
		"redis.register_function('later', function() redis.register_function('x', function() end) end)\n" +
		"redis.register_function('calls', function(keys, args) return redis.call('set', keys[1], args[1]) end)\n" +
		"redis.register_function('captured', function() return r.call('ping') end)\n" +
		"redis.register_function('gets', function(keys) return redis.call('get', keys[1]) end)\n" +
		"redis.register_function('given', function(keys, args, x) return {#keys, #args, x == nil, args[2]} end)\n" +
		"redis.register_function('KEYS', function(keys) return KEYS end)\n" +
		"redis.register_function('assigns', function() x = 1 end)\n" +
		"redis.register_function('reply', function() return redis.error_reply('MY error') end)\n" +
		"redis.register_function('resp', function() redis.setresp(3) return redis.REPL_ALL end)",
}

// functionCalls are names of functions with their keys and arguments.
var functionCalls = []struct {
	name       string
	keys, args []string
}{
	{name: "q"}, {name: "Q"}, {name: "nosuch"}, {name: "count"}, {name: "COUNT"}, {name: "count"},
	{name: "again"}, {"calls", []string{"k"}, []string{"v"}}, {name: "calls"}, {name: "captured"},
	{name: "gets", keys: []string{"k"}}, {"given", []string{"a", "b"}, []string{"c", "d", "e"}},
	{name: "assigns"}, {name: "reply"}, {name: "resp"}, {name: "12"}, {name: "f3"}, {name: "count"},
}

// TestLibrariesAreRedis loads libraries here and in redis-server, and calls their functions.
func TestLibrariesAreRedis(t *testing.T) {
	oracle := redistest.StartOracle(t)
	conn, err := redistest.Dial(oracle.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	do := func(args ...string) string {
		v, err := conn.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		if v.Kind == resp.KindError {
			return "-" + string(v.Str)
		}
		return string(flat(nil, &v))
	}
	e := NewEngine(noRows, Limits{})
	var set *Libraries
	for _, code := range libraryCodes {
		code = strings.NewReplacer(" F)", " function() end)", "=F", "=function() end", " and F", " and function() end").
			Replace(code)
		if strings.Contains(code, "return f() end f()") {
			_, _, err := e.Load(set, []byte(code), false, func() bool { return true })
			if err == nil || err.Msg != "Error registering functions: ERR FUNCTION LOAD timeout" {
				t.Errorf("too long: %v", err)
			}
			continue
		}
		next, name, err := e.Load(set, []byte(code), false, nil)
		got := string(resp.AppendBulkString(nil, name))
		if err != nil {
			got = strings.TrimSuffix(string(resp.AppendError(nil, err)), "\r\n")
		}
		if want := do("FUNCTION", "LOAD", code); got != want {
			t.Errorf("%q\n\tgives %q\n\twant  %q", code, got, want)
		}
		set = next
	}
	compareCallsOfFunctions(t, e, set, do)
}

func compareCallsOfFunctions(t *testing.T, e *Engine, set *Libraries, do func(args ...string) string) {
	r := e.NewRunner(newFakeHost())
	for _, c := range functionCalls {
		want := do(slices.Concat([]string{"FCALL", c.name, string('0' + rune(len(c.keys)))}, c.keys, c.args)...)
		f := set.Function([]byte(c.name))
		got := "-ERR Function not found"
		if f != nil {
			reply, err := r.Run(nil, 2, &f.Script, byteSlices(c.keys), byteSlices(c.args))
			if got = string(reply); err != nil {
				got = strings.TrimSuffix(string(resp.AppendError(nil, err)), "\r\n")
			}
			if reply != nil && reply[0] == '-' {
				got = strings.TrimSuffix(got, "\r\n")
			}
		}
		if got != want {
			t.Errorf("%s\n\tgives %q\n\twant  %q", c.name, got, want)
		}
	}
}

// flat appends a reply as it is sent in RESP2.
func flat(dst []byte, v *resp.Value) []byte {
	switch {
	case v.Null:
		return resp.AppendNull(dst, 2)
	case v.Kind == resp.KindInt:
		return resp.AppendInt(dst, v.Int)
	case v.Kind == resp.KindBulk:
		return resp.AppendBulk(dst, v.Str)
	case v.Kind == resp.KindSimple:
		return resp.AppendSimple(dst, string(v.Str))
	}
	dst = resp.AppendArray(dst, len(v.Elems))
	for i := range v.Elems {
		dst = flat(dst, &v.Elems[i])
	}
	return dst
}

func mustLoad(t testing.TB, e *Engine, set *Libraries, code string, replace bool) *Libraries {
	t.Helper()
	next, _, err := e.Load(set, []byte(code), replace, nil)
	if err != nil {
		t.Fatalf("%q: %v", code, err)
	}
	return next
}

func libraryText(name string, functions ...string) string {
	code := "#!lua name=" + name + "\n"
	for _, f := range functions {
		code += "redis.register_function('" + f + "', function() return '" + name + "." + f + "' end)\n"
	}
	return code
}

func TestLibrariesReplaceAndJoin(t *testing.T) {
	e := NewEngine(noRows, Limits{})
	one := mustLoad(t, e, nil, libraryText("one", "a", "b"), false)
	two := mustLoad(t, e, nil, libraryText("two", "c"), false)
	clash := mustLoad(t, e, nil, libraryText("three", "A"), false)
	both, err := one.Join(two, false)
	if err != nil || both.Len() != 2 || both.FunctionCount() != 3 || both.Bytes() != one.Bytes()+two.Bytes() {
		t.Fatalf("joined: %d libraries, %d functions, %v", both.Len(), both.FunctionCount(), err)
	}
	if _, err := both.Join(one, false); err == nil || err.Msg != "Library one already exists" {
		t.Errorf("joining what is there: %v", err)
	}
	if _, err := both.Join(clash, true); err == nil || err.Msg != "Function A already exists" {
		t.Errorf("joining a function that is there: %v", err)
	}
	other := mustLoad(t, e, both, libraryText("one", "a"), true)
	if other.Len() != 2 || other.FunctionCount() != 2 || other.Function([]byte("b")) != nil {
		t.Errorf("replaced: %d libraries, %d functions", other.Len(), other.FunctionCount())
	}
	if again, err := both.Join(other, true); err != nil || again.Function([]byte("B")) != nil {
		t.Errorf("joined again: %v", err)
	}
	rest, ok := other.Without("one")
	if !ok || rest.Len() != 1 || rest.Function([]byte("c")) == nil || rest.Bytes() != two.Bytes() {
		t.Errorf("without one: %d libraries", rest.Len())
	}
	if _, ok := rest.Without("one"); ok {
		t.Error("it is taken away twice")
	}
}

// A state makes the functions of the library that is called, and lets go of those that are gone.
func TestRunnerFollowsLibraries(t *testing.T) {
	e := NewEngine(noRows, Limits{})
	r := e.NewRunner(newFakeHost())
	call := func(set *Libraries) string {
		reply, err := r.Run(nil, 2, &set.Function([]byte("a")).Script, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(reply)
	}
	var set *Libraries
	for i := range 5 {
		name := "lib" + string('0'+rune(i))
		next, _ := set.Without("lib" + string('0'+rune(i-1)))
		next = mustLoad(t, e, next, libraryText(name, "a"), false)
		set.Retire(next)
		set = next
		if got, want := call(set), "$6\r\n"+name+".a\r\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if n, chunks := len(r.libs.made), len(r.chunks); n != 1 || chunks != 1 {
		t.Errorf("the state has %d libraries, and %d chunks", n, chunks)
	}
}

func TestFunctionsDeclareKeys(t *testing.T) {
	e := NewEngine(keyRows(), Limits{})
	set := mustLoad(t, e, nil, "#!lua name=l\n"+
		"redis.register_function('its', function(keys) return redis.call('get', keys[1]) end)\n"+
		"redis.register_function('any', function(keys, args) return redis.call('get', args[1]) end)", false)
	if !set.Function([]byte("its")).DeclaredKeys || set.Function([]byte("any")).DeclaredKeys {
		t.Error("which functions touch but their keys is not told right")
	}
}
