package script

// Host executes what a running script asks for. It belongs to the goroutine that runs the script.
type Host interface {
	// Call executes one command and returns its reply, in RESP of the version last set by SetProto (2 at the start of
	// a run), valid until the next call. Errors are RESP errors. args are valid during the call only.
	Call(args [][]byte) []byte
	// SetProto says in which version of RESP replies are wanted, 2 or 3.
	SetProto(version int)
	// Log writes a line to the server's log, if its level (0 debug … 3 warning) is logged.
	Log(level int, line string)
	// Tick is called every so often by a script that takes long. It may take long itself. An error ends the script,
	// whatever it catches; its text is the error reply, code first.
	Tick() error
	// SetRepl says where effects of the commands that follow go: a combination of ReplAOF and ReplReplica.
	SetRepl(flags int)
	// ACLCheck tells whether the user may run a command; known is false if there is no such command.
	ACLCheck(args [][]byte) (allowed, known bool)
}

// The bits of redis.set_repl.
const (
	ReplAOF     = 1 << 0
	ReplReplica = 1 << 1
)
