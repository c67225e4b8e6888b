package script

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"

	lua "github.com/yuin/gopher-lua"
)

// openRedis makes the table redis.
func (r *Runner) openRedis() *lua.LTable {
	L := r.L
	t := L.CreateTable(0, 32)
	for name, fn := range map[string]lua.LGFunction{
		"call": r.redisCall, "pcall": r.redisPCall, "error_reply": redisErrorReply, "status_reply": redisStatusReply,
		"sha1hex": redisSHA1Hex, "log": r.redisLog, "setresp": r.redisSetResp, "set_repl": r.redisSetRepl,
		"replicate_commands": redisReplicateCommands, "breakpoint": redisBreakpoint, "debug": redisDebug,
		"acl_check_cmd": r.redisACLCheck,
	} {
		t.RawSetString(name, L.NewFunction(fn))
	}
	for name, n := range map[string]int{
		"LOG_DEBUG": 0, "LOG_VERBOSE": 1, "LOG_NOTICE": 2, "LOG_WARNING": 3,
		"REPL_NONE": 0, "REPL_AOF": ReplAOF, "REPL_SLAVE": ReplReplica, "REPL_REPLICA": ReplReplica,
		"REPL_ALL": ReplAOF | ReplReplica, "REDIS_VERSION_NUM": versionNumber(r.engine.limits.Version),
	} {
		t.RawSetString(name, lua.LNumber(n))
	}
	t.RawSetString("REDIS_VERSION", lua.LString(r.engine.limits.Version))
	return t
}

// versionNumber makes 0xAABBCC of "A.B.C".
func versionNumber(version string) int {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		panic("BUG: version " + version)
	}
	return major<<16 | minor<<8 | patch
}

// raise ends the function with an error table of this message.
func raise(L *lua.LState, msg string) int {
	L.Error(errorTable(L, msg), 0)
	return 0
}

// redis.call(command, ...)
func (r *Runner) redisCall(L *lua.LState) int { return r.command(L, true) }

// redis.pcall(command, ...)
func (r *Runner) redisPCall(L *lua.LState) int { return r.command(L, false) }

// command executes a command and leaves its reply as a Lua value; errors are raised or returned.
func (r *Runner) command(L *lua.LState, raises bool) int {
	if !r.running {
		return raise(L, "redis.call/pcall can only be called inside a script invocation")
	}
	if problem := r.arguments(L); problem != "" {
		if raises {
			return raise(L, problem)
		}
		L.Push(errorTable(L, problem))
		return 1
	}
	r.work(L, callCost)
	reply := r.execute(r.args)
	if len(reply) == 0 {
		panic("BUG: a host without a reply")
	}
	v, _ := r.readReply(L, reply)
	r.work(L, len(reply)/bytesPerStep)
	if raises && reply[0] == '-' {
		L.Error(v, 0)
	}
	L.Push(v)
	return 1
}

// callCost is how many instructions a command counts as: it takes longer than one.
const callCost = 50

// execute calls the host. What panics there is a bug under a baton, which nothing may catch: it ends the process.
func (r *Runner) execute(args [][]byte) (reply []byte) {
	done := false
	defer func() {
		if !done {
			die(recover())
		}
	}()
	reply = r.host.Call(args)
	done = true
	return reply
}

// die panics where nobody recovers, with the stack of the first panic, and never returns.
func die(why any) {
	stack := debug.Stack()
	go func() {
		fmt.Fprintf(os.Stderr, "%s\n", stack)
		panic(why)
	}()
	select {}
}

// arguments makes r.args of the function's arguments, which it takes off the stack; problem is what is wrong with them.
func (r *Runner) arguments(L *lua.LState) (problem string) {
	n := L.GetTop()
	if n == 0 {
		return "Please specify at least one argument for this redis lib call"
	}
	r.args, r.argBytes = r.args[:0], r.argBytes[:0]
	for i := 1; i <= n; i++ {
		from := len(r.argBytes)
		switch v := L.Get(i).(type) {
		case lua.LString:
			if len(r.argBytes)+len(v) > r.engine.limits.HeapBytes {
				return "not enough memory"
			}
			r.argBytes = append(r.argBytes, v...)
		case lua.LNumber:
			r.argBytes = appendG(r.argBytes, float64(v), 17)
		default:
			return "Lua redis lib command arguments must be strings or integers"
		}
		r.ends = append(r.ends[:i-1], len(r.argBytes)-from)
	}
	from := 0
	for _, size := range r.ends[:n] {
		r.args = append(r.args, r.argBytes[from:from+size:from+size])
		from += size
	}
	L.SetTop(0)
	return ""
}

// redis.error_reply(text)
func redisErrorReply(L *lua.LState) int {
	msg, ok := L.Get(1).(lua.LString)
	if !ok || L.GetTop() != 1 {
		L.Push(errorTable(L, "wrong number or type of arguments"))
		return 1
	}
	s := cString(string(msg))
	if s == "" || s[0] != '-' {
		s = "-" + s
	}
	L.Push(errorTable(L, s))
	return 1
}

// redis.status_reply(text)
func redisStatusReply(L *lua.LState) int {
	msg, ok := L.Get(1).(lua.LString)
	if !ok || L.GetTop() != 1 {
		L.Push(errorTable(L, "wrong number or type of arguments"))
		return 1
	}
	L.Push(field(L, "ok", msg))
	return 1
}

// redis.sha1hex(text)
func redisSHA1Hex(L *lua.LState) int {
	if L.GetTop() != 1 {
		return raise(L, "wrong number of arguments")
	}
	s, _ := text(L.Get(1))
	sum := sha1.Sum([]byte(s))
	L.Push(lua.LString(hex.EncodeToString(sum[:])))
	return 1
}

// redis.log(level, ...)
func (r *Runner) redisLog(L *lua.LState) int {
	n := L.GetTop()
	if n < 2 {
		return raise(L, "redis.log() requires two arguments or more.")
	}
	level, ok := number(L.Get(1))
	if !ok {
		return raise(L, "First argument must be a number (log level).")
	}
	if l := toInt64(level); l < 0 || l > 3 {
		return raise(L, "Invalid debug level.")
	}
	var line []byte
	for i := 2; i <= n; i++ {
		if s, ok := text(L.Get(i)); ok {
			if i != 2 {
				line = append(line, ' ')
			}
			line = append(line, s...)
		}
		r.checkString(L, len(line))
	}
	r.host.Log(int(level), string(line))
	return 0
}

// redis.setresp(version)
func (r *Runner) redisSetResp(L *lua.LState) int {
	if !r.running {
		return raise(L, "redis.setresp can only be called inside a script invocation")
	}
	if L.GetTop() != 1 {
		return raise(L, "redis.setresp() requires one argument.")
	}
	n, _ := number(L.Get(1))
	version := int(toInt64(n))
	if version != 2 && version != 3 {
		return raise(L, "RESP version must be 2 or 3.")
	}
	r.proto = version
	r.host.SetProto(version)
	return 0
}

// redis.set_repl(flags)
func (r *Runner) redisSetRepl(L *lua.LState) int {
	if !r.running {
		return raise(L, "redis.set_repl can only be called inside a script invocation")
	}
	if L.GetTop() != 1 {
		return raise(L, "redis.set_repl() requires two arguments.")
	}
	n, _ := number(L.Get(1))
	flags := int(toInt64(n))
	if flags&^(ReplAOF|ReplReplica) != 0 {
		return raise(L, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
	r.host.SetRepl(flags)
	return 0
}

// redis.replicate_commands()
func redisReplicateCommands(L *lua.LState) int {
	L.Push(lua.LTrue)
	return 1
}

// redis.breakpoint()
func redisBreakpoint(L *lua.LState) int {
	L.Push(lua.LFalse) // there is no debugger
	return 1
}

// redis.debug(...)
func redisDebug(*lua.LState) int { return 0 }

// redis.acl_check_cmd(command, ...)
func (r *Runner) redisACLCheck(L *lua.LState) int {
	if !r.running {
		return raise(L, "redis.acl_check_cmd can only be called inside a script invocation")
	}
	if problem := r.arguments(L); problem != "" {
		return raise(L, problem)
	}
	allowed, known := r.host.ACLCheck(r.args)
	if !known {
		return raise(L, "Invalid command passed to redis.acl_check_cmd()")
	}
	L.Push(lua.LBool(allowed))
	return 1
}
