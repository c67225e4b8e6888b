package resp

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// The fixed error texts, all of them, worded as Redis 7.0 words them; clients compare them. They are shared and must
// not be changed.

// Errors of a command's arguments.
var (
	ErrSyntax      = generic("syntax error")
	ErrNotInteger  = generic("value is not an integer or out of range")
	ErrIntRange    = generic("value is out of range, value must between -2147483648 and 2147483647")
	ErrRandomCount = generic("value is out of range, value must between -9223372036854775807 and " +
		"9223372036854775807")
	ErrNotFloat         = generic("value is not a valid float")
	ErrOutOfRange       = generic("value is out of range")
	ErrNotPositive      = generic("value is out of range, must be positive")
	ErrNaNOrInf         = generic("value is NaN or Infinity")
	ErrIndexOutOfRange  = generic("index out of range")
	ErrOffsetOutOfRange = generic("offset is out of range")
	ErrInvalidCursor    = generic("invalid cursor")
	ErrNumkeys          = generic("numkeys should be greater than 0")
	ErrNegativeKeys     = generic("Number of keys can't be negative")
	ErrTooManyKeys      = generic("Number of keys can't be greater than number of args")
	ErrNegativeCount    = generic("COUNT can't be negative")
	ErrCountNotPositive = generic("COUNT must be > 0")
	ErrCountZero        = generic("count should be greater than 0")
	ErrNegativeLimit    = generic("LIMIT can't be negative")
	ErrTimeoutNotInt    = generic("timeout is not an integer or out of range")
	ErrTimeoutNotFloat  = generic("timeout is not a float or out of range")
	ErrTimeoutNegative  = generic("timeout is negative")
	ErrDBIndex          = generic("DB index is out of range")
	ErrDBFirst          = generic("invalid first DB index")
	ErrDBSecond         = generic("invalid second DB index")
	ErrWrongArgs        = generic("wrong number of arguments")
)

// Errors of keys and what they hold.
var (
	ErrWrongType  = &Error{Code: "WRONGTYPE", Msg: "Operation against a key holding the wrong kind of value"}
	ErrNoSuchKey  = generic("no such key")
	ErrSameObject = generic("source and destination objects are the same")
	ErrBusyKey    = &Error{Code: "BUSYKEY", Msg: "Target key name already exists."}
	ErrBadDump    = generic("DUMP payload version or checksum are wrong")
	ErrBadFormat  = generic("Bad data format")
	ErrInvalidTTL = generic("Invalid TTL value, must be >= 0")
	ErrIdleTime   = generic("Invalid IDLETIME value, must be >= 0")
	ErrFreq       = generic("Invalid FREQ value, must be >= 0 and <= 255")
	ErrNoLFU      = generic("An LFU maxmemory policy is not selected, access frequency not tracked. " +
		"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	ErrLFU = generic("An LFU maxmemory policy is selected, idle time not tracked. " +
		"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	ErrExpireNXAndOthers = generic("NX and XX, GT or LT options at the same time are not compatible")
	ErrExpireGTAndLT     = generic("GT and LT options at the same time are not compatible")
)

// Errors of functions.
var (
	ErrNoFunction       = generic("Function not found")
	ErrNoLibrary        = generic("Library not found")
	ErrNoLibraryName    = generic("library name argument was not given")
	ErrFunctionKeys     = generic("Bad number of keys provided")
	ErrFunctionFlush    = generic("FUNCTION FLUSH only supports SYNC|ASYNC option")
	ErrFunctionReplaced = &Error{Code: "TRYAGAIN", Msg: "The function has been replaced while its call waited"}
	ErrRestorePolicy    = generic("Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
)

// Errors of strings, counters and bits.
var (
	ErrStringTooLong = generic("string exceeds maximum allowed size (proto-max-bulk-len)")
	ErrOverflow      = generic("increment or decrement would overflow")
	ErrDecrOverflow  = generic("decrement would overflow")
	ErrIncrNaNOrInf  = generic("increment would produce NaN or Infinity")
	ErrBitOffset     = generic("bit offset is not an integer or out of range")
	ErrBitValue      = generic("bit is not an integer or out of range")
	ErrBitArgument   = generic("The bit argument must be 1 or 0.")
	ErrBitopNot      = generic("BITOP NOT must be called with a single source key.")
	ErrBitfieldType  = generic("Invalid bitfield type. Use something like i16 u8. " +
		"Note that u64 is not supported but i64 is.")
	ErrBitfieldOver    = generic("Invalid OVERFLOW type specified")
	ErrBitfieldRO      = generic("BITFIELD_RO only supports the GET subcommand")
	ErrDigest          = generic("must be exactly 16 hexadecimal characters")
	ErrDelexType       = generic("Key should be of string type if conditions are specified")
	ErrDelexCond       = generic("Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
	ErrMSetExNumkeys   = generic("invalid numkeys value")
	ErrMSetExPairs     = generic("wrong number of key-value pairs")
	ErrTakeStep        = generic("STEP must be positive")
	ErrTakeMultiple    = generic("amount is not a multiple of STEP")
	ErrTakeBounds      = generic("FLOOR is above CEILING")
	ErrTakeNoExpire    = generic("TOKEN needs one of EX, PX, EXAT and PXAT")
	ErrTakeSameKey     = generic("the token's key is the counter's")
	ErrNotToken        = &Error{Code: "WRONGTYPE", Msg: "Key is not a valid token string value."}
	ErrTokenUsed       = &Error{Code: "BADTOKEN", Msg: "Token was used with other arguments."}
	ErrTokenExpired    = &Error{Code: "BADTOKEN", Msg: "Token has expired, it is unknown whether it was used."}
	ErrLCSLenAndIdx    = generic("If you want both the length and indexes, please just use IDX.")
	ErrLCSNotStrings   = generic("The specified keys must contain string values")
	ErrLCSTooLong      = generic("Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
	ErrNotHLL          = &Error{Code: "WRONGTYPE", Msg: "Key is not a valid HyperLogLog string value."}
	ErrCorruptHLL      = &Error{Code: "INVALIDOBJ", Msg: "Corrupted HLL object detected"}
	ErrNotSparse       = generic("HLL encoding is not sparse")
	ErrKeyMissing      = generic("The specified key does not exist")
	ErrSIMD            = generic("Argument must be ON or OFF")
	ErrHashNotInteger  = generic("hash value is not an integer")
	ErrHashNotFloat    = generic("hash value is not a float")
	ErrMinMaxNotFloat  = generic("min or max is not a float")
	ErrMinMaxNotString = generic("min or max not valid string range item")
	ErrScoreNaN        = generic("resulting score is not a number (NaN)")
	ErrWeightNotFloat  = generic("weight value is not a float")
	ErrZaddNXAndXX     = generic("XX and NX options at the same time are not compatible")
	ErrZaddGTLTNX      = generic("GT, LT, and/or NX options at the same time are not compatible")
	ErrZaddIncrPairs   = generic("INCR option supports a single increment-element pair")
	ErrZrangeLimit     = generic("syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
	ErrZrangeLexScores = generic("syntax error, WITHSCORES not supported in combination with BYLEX")
	ErrLposRank        = generic("RANK can't be zero: use 1 to start from the first match, 2 from the second ... " +
		"or use negative to start from the end of the list")
	ErrMaxlenNegative = generic("MAXLEN can't be negative")
	ErrSortScores     = generic("One or more scores can't be converted into double")
)

// Errors of streams.
var (
	ErrStreamID         = generic("Invalid stream ID specified as stream command argument")
	ErrStreamStart      = generic("invalid start ID for the interval")
	ErrStreamEnd        = generic("invalid end ID for the interval")
	ErrStreamMaxLen     = generic("The MAXLEN argument must be >= 0.")
	ErrStreamLimit      = generic("The LIMIT argument must be >= 0.")
	ErrStreamStrategies = generic("syntax error, MAXLEN and MINID options at the same time are not compatible")
	ErrStreamLimitAlone = generic("syntax error, LIMIT cannot be used without specifying a trimming strategy")
	ErrStreamNoStrategy = generic("syntax error, XTRIM must be called with a trimming strategy")
	ErrStreamLimitExact = generic("syntax error, LIMIT cannot be used without the special ~ option")
	ErrStreamZeroID     = generic("The ID specified in XADD must be greater than 0-0")
	ErrStreamExhausted  = generic("The stream has exhausted the last possible ID, unable to add more items")
	ErrStreamSmallID    = generic("The ID specified in XADD is equal or smaller than the target stream top item")
	ErrStreamEntry      = generic("Elements are too large to be stored")
	ErrXSetIDNegative   = generic("entries_added must be positive")
	ErrXSetIDDeleted    = generic("The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
	ErrXSetIDSmall      = generic("The ID specified in XSETID is smaller than the target stream top item")
	ErrXSetIDAdded      = generic("The entries_added specified in XSETID is smaller than the target stream length")

	ErrUnbalancedStreams = generic("Unbalanced XREAD list of streams: for each stream key an ID or '$' must be " +
		"specified.")
	ErrXReadGroup     = generic("The GROUP option is only supported by XREADGROUP. You called XREAD instead.")
	ErrXReadNoAck     = generic("The NOACK option is only supported by XREADGROUP. You called XREAD instead.")
	ErrXReadNoGroup   = generic("Missing GROUP option for XREADGROUP")
	ErrXReadGroupLast = generic("The $ ID is meaningless in the context of XREADGROUP: you want to read the history " +
		"of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return " +
		"an empty result set.")
	ErrXReadNew = generic("The > ID can be specified only when calling XREADGROUP using the GROUP <group> " +
		"<consumer> option.")
	ErrStreamGone = &Error{Code: "UNBLOCKED", Msg: "the stream key no longer exists"}
	ErrGroupGone  = &Error{Code: "NOGROUP", Msg: "the consumer group this client was blocked on no longer exists"}
)

// Errors of consumer groups.
var (
	ErrXGroupNoKey = generic("The XGROUP subcommand requires the key to exist. Note that for CREATE you may want " +
		"to use the MKSTREAM option to create an empty stream automatically.")
	ErrBusyGroup        = &Error{Code: "BUSYGROUP", Msg: "Consumer Group name already exists"}
	ErrEntriesRead      = generic("value for ENTRIESREAD must be positive or -1")
	ErrXClaimIdle       = generic("Invalid min-idle-time argument for XCLAIM")
	ErrXClaimIdleOption = generic("Invalid IDLE option argument for XCLAIM")
	ErrXClaimTime       = generic("Invalid TIME option argument for XCLAIM")
	ErrXClaimRetryCount = generic("Invalid RETRYCOUNT option argument for XCLAIM")
	ErrXAutoClaimIdle   = generic("Invalid min-idle-time argument for XAUTOCLAIM")
	ErrXAutoClaimRoom   = generic("Insufficient memory, failed allocating transient memory, COUNT too high.")
)

// Errors of positions.
var (
	ErrGeoUnit     = generic("unsupported unit provided. please use M, KM, FT, MI")
	ErrGeoRadius   = generic("need numeric radius")
	ErrGeoWidth    = generic("need numeric width")
	ErrGeoHeight   = generic("need numeric height")
	ErrGeoNegative = generic("radius cannot be negative")
	ErrGeoBox      = generic("height or width cannot be negative")
	ErrGeoMember   = generic("could not decode requested zset member")
	ErrGeoAny      = generic("the ANY argument requires COUNT argument")
)

// Errors of the expiries of fields.
var (
	ErrFieldsMissing     = generic("Mandatory argument FIELDS is missing or not at the right position")
	ErrNumFields         = generic("The `numfields` parameter must match the number of arguments")
	ErrNumFieldsPositive = generic("Number of fields must be a positive integer")
	ErrNumFieldsExpire   = generic("Parameter `numFields` should be greater than 0")
	ErrFieldTimeNegative = generic("invalid expire time, must be >= 0")
	ErrHSetExNumFields   = generic("invalid number of fields")
	ErrHSetExNoTime      = generic("missing expire time")
	ErrHSetExConditions  = generic("Only one of FXX or FNX arguments can be specified")
	ErrHSetExTimes       = generic("Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified")
)

// Refusals of the server's state, in the order in which dispatch looks for them.
var (
	ErrNoAuth      = &Error{Code: "NOAUTH", Msg: "Authentication required."}
	ErrNoAuthHello = &Error{Code: "NOAUTH", Msg: "HELLO must be called with the client already authenticated, " +
		"otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP " +
		"protocol version at the same time"}
	ErrWrongPass = &Error{Code: "WRONGPASS", Msg: "invalid username-password pair or user is disabled."}
	ErrNoPermKey = &Error{Code: "NOPERM",
		Msg: "this user has no permissions to access one of the keys used as arguments"}
	ErrNoPermChannel = &Error{Code: "NOPERM",
		Msg: "this user has no permissions to access one of the channels used as arguments"}
	ErrLoading    = &Error{Code: "LOADING", Msg: "Redis is loading the dataset in memory"}
	ErrMasterDown = &Error{Code: "MASTERDOWN",
		Msg: "Link with MASTER is down and replica-serve-stale-data is set to 'no'."}
	ErrReadOnly   = &Error{Code: "READONLY", Msg: "You can't write against a read only replica."}
	ErrNoIdleTime = &Error{Code: "ERR", Msg: "An LFU maxmemory policy is selected, idle time not tracked. " +
		"Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."}
	ErrNoFrequency = &Error{Code: "ERR", Msg: "An LFU maxmemory policy is not selected, access frequency not " +
		"tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time " +
		"to adjust."}
	ErrOOM         = &Error{Code: "OOM", Msg: "command not allowed when used memory > 'maxmemory'."}
	ErrReplicaKeys = generic("Replica can't interact with the keyspace")
	ErrNoReplicas  = &Error{Code: "NOREPLICAS", Msg: "Not enough good replicas to write."}
	ErrMisconf     = &Error{Code: "MISCONF", Msg: "Redis is configured to save RDB snapshots, but it's currently " +
		"unable to persist to disk. Commands that may modify the data set are disabled, because this instance is " +
		"configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). " +
		"Please check the Redis logs for details about the RDB error."}
	ErrBusyScript = &Error{Code: "BUSY",
		Msg: "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."}
	ErrBusyFunction = &Error{Code: "BUSY",
		Msg: "Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."}
	ErrMaxClients = generic("max number of clients reached")
	ErrDenied     = &Error{Code: "DENIED", Msg: "Redis is running in protected mode because protected mode is " +
		"enabled and no password is set for the default user. In this mode connections are only accepted from the " +
		"loopback interface. If you want to connect from external computers to Redis you may adopt one of the " +
		"following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' " +
		"from the loopback interface by connecting to Redis from the same host the server is running, however MAKE " +
		"SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change " +
		"permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration " +
		"file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started " +
		"the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an " +
		"authentication password for the default user. NOTE: You only need to do one of the above things in order " +
		"for the server to start accepting connections from the outside."}
)

// Errors of transactions, scripts and blocking.
var (
	ErrExecAbort = &Error{Code: "EXECABORT", Msg: "Transaction discarded because of previous errors."}
	ErrNested    = generic("MULTI calls can not be nested")
	ErrNoMulti   = generic("EXEC without MULTI")
	ErrNoDiscard = generic("DISCARD without MULTI")
	ErrWatch     = generic("WATCH inside MULTI is not allowed")
	ErrInMulti   = generic("Command not allowed inside a transaction")
	ErrNoScript  = &Error{Code: "NOSCRIPT", Msg: "No matching script. Please use EVAL."}
	ErrNotBusy   = &Error{Code: "NOTBUSY", Msg: "No scripts in execution right now."}
	ErrUnblocked = &Error{Code: "UNBLOCKED", Msg: "client unblocked via CLIENT UNBLOCK"}
	ErrDemoted   = &Error{Code: "UNBLOCKED",
		Msg: "force unblock from blocking operation, instance state changed (master -> replica?)"}
	ErrUnkillable = &Error{Code: "UNKILLABLE", Msg: "Sorry the script already executed write commands against the " +
		"dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN " +
		"NOSAVE command."}
)

// Errors of scripts.
var (
	ErrScriptUnknownCommand = generic("Unknown Redis command called from script")
	ErrScriptArity          = generic("Wrong number of args calling Redis command from script")
	ErrScriptDenied         = generic("This Redis command is not allowed from script")
	ErrScriptCallStale      = generic("Can not execute the command on a stale replica")
	ErrScriptWrites         = generic("Write commands are not allowed from read-only scripts.")
	ErrScriptUndeclared     = generic("Script attempted to access a key that it does not declare")
	ErrScriptFlush          = generic("SCRIPT FLUSH only support SYNC|ASYNC option")
	ErrScriptDebug          = generic("Use SCRIPT DEBUG YES/SYNC/NO")
	ErrScriptDebugPipeline  = generic("SCRIPT DEBUG must be called outside a pipeline")
	ErrScriptNotReadOnly    = generic("Can not execute a script with write flag using *_ro command.")
	ErrReplyTooLong         = generic("The reply is too long for a script")
	ErrScriptStale          = &Error{Code: "MASTERDOWN", Msg: "Link with MASTER is down, replica-serve-stale-data is " +
		"set to 'no' and 'allow-stale' flag is not set."}
	ErrScriptReadOnly = &Error{Code: "READONLY", Msg: "Can not run script with write flag on readonly replica."}
	ErrScriptOOM      = &Error{Code: "OOM", Msg: "allow-oom flag is not set on the script, can not run it when used " +
		"memory > 'maxmemory'"}
	ErrScriptMisconf = &Error{Code: "MISCONF", Msg: "Redis is configured to save RDB snapshots, but it's currently " +
		"unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts."}
	ErrUnkillablePrimary = &Error{Code: "UNKILLABLE", Msg: "The busy script was sent by a master instance in the " +
		"context of replication and cannot be killed."}
)

// Errors of connections, configuration and the server itself.
var (
	ErrNoProto         = &Error{Code: "NOPROTO", Msg: "unsupported protocol version"}
	ErrProtoNotInteger = generic("Protocol version is not an integer or out of range")
	ErrAuthNoPassword  = generic("AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?")
	ErrClientName      = generic("Client names cannot contain spaces, newlines or special characters.")
	ErrNoSuchClient    = generic("No such client")
	ErrInvalidClientID = generic("Invalid client ID")
	ErrClientIDZero    = generic("client-id should be greater than 0")
	ErrMaxAge          = generic("maxage is not an integer or out of range")
	ErrMaxAgeZero      = generic("maxage should be greater than 0")
	ErrUnblockReason   = generic("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
	ErrPauseMode       = generic("CLIENT PAUSE mode must be WRITE or ALL")
	ErrNoConfigFile    = generic("The server is running without a config file")
	ErrInvalidCommand  = generic("Invalid command specified")
	ErrInvalidArgCount = generic("Invalid number of arguments specified for command")
	ErrInvalidArgs     = generic("Invalid arguments specified for command")
	ErrNoKeyArguments  = generic("The command has no key arguments")
	ErrDebugRefused    = generic("DEBUG command not allowed. If the enable-debug-command option is set to \"local\", " +
		"you can run it from a local connection, otherwise you need to set this option in the configuration file, " +
		"and then restart the server.")
	ErrModuleRefused = generic("MODULE command not allowed. If the enable-module-command option is set to \"local\", " +
		"you can run it from a local connection, otherwise you need to set this option in the configuration file, " +
		"and then restart the server.")
	ErrModuleLoad     = generic("Error loading the extension. Please check the server logs.")
	ErrNoSuchModule   = generic("Error unloading module: no such module with that name")
	ErrShutdownFailed = generic("Errors trying to SHUTDOWN. Check logs.")
	ErrSaving         = generic("Background save already in progress")
	ErrRewriting      = generic("Background append only file rewriting already in progress")
	ErrCantRewrite    = generic("Can't execute an AOF background rewriting. " +
		"Please check the server logs for more information.")
	ErrChildActive = generic("Another child process is active (AOF?): can't BGSAVE right now. " +
		"Use BGSAVE SCHEDULE in order to schedule a BGSAVE whenever possible.")
	ErrMasterPort    = generic("Invalid master port")
	ErrWaitOnReplica = generic("WAIT cannot be used with replica instances. Please also note that since " +
		"Redis 4.0 if a replica is configured to be writable (which is not the default) " +
		"writes to replicas are just local and are not propagated.")
)

// Protocol errors, after which the connection is closed.
var (
	errBigInline   = generic("Protocol error: too big inline request")
	errUnbalanced  = generic("Protocol error: unbalanced quotes in request")
	errBigCount    = generic("Protocol error: too big mbulk count string")
	errBadCount    = generic("Protocol error: invalid multibulk length")
	errUnauthCount = generic("Protocol error: unauthenticated multibulk length")
	errBigBulk     = generic("Protocol error: too big bulk count string")
	errBadBulk     = generic("Protocol error: invalid bulk length")
	errUnauthBulk  = generic("Protocol error: unauthenticated bulk length")
)

// errExpectedBulk is the protocol error of an argument that begins with got.
func errExpectedBulk(got byte) *Error {
	return generic("Protocol error: expected '$', got '" + string([]byte{got}) + "'")
}

// ErrWrongArity returns the error for a known command called with a wrong number of arguments; name is its full name as
// Redis writes it, lower case, with '|' before a subcommand ("client|kill").
func ErrWrongArity(name string) *Error {
	return generic("wrong number of arguments for '" + name + "' command")
}

// ErrListening is the error for a command that may not run in RESP2 while the client subscribes to something.
func ErrListening(name string) *Error {
	return generic("Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are " +
		"allowed in this context")
}

// ErrNoInputKey is the error for a command that wants at least one key among its arguments.
func ErrNoInputKey(name string) *Error {
	return Errorf("ERR", "at least 1 input key is needed for '%s' command", name)
}

// ErrUnknownCommand returns the error for a command that doesn't exist. args are its arguments without the name; about
// 128 bytes of them are quoted.
func ErrUnknownCommand(name []byte, args [][]byte) *Error {
	const most = 128
	var quoted strings.Builder
	for _, a := range args {
		if quoted.Len() >= most {
			break
		}
		quoted.WriteString("'" + cut(a, most-quoted.Len()) + "' ")
	}
	return generic("unknown command '" + cut(name, most) + "', with args beginning with: " + quoted.String())
}

// ErrUnknownSubcommand returns the error for a subcommand that doesn't exist; container is the command's name in any
// case.
func ErrUnknownSubcommand(container, sub []byte) *Error {
	upper := string(bytes.ToUpper(container))
	return generic("unknown subcommand '" + cut(sub, 128) + "'. Try " + upper + " HELP.")
}

// ErrSubcommandSyntax returns the error for a subcommand whose arguments fit none of its forms.
func ErrSubcommandSyntax(container, sub []byte) *Error {
	upper := string(bytes.ToUpper(container))
	return generic("unknown subcommand or wrong number of arguments for '" + cut(sub, 128) + "'. Try " +
		upper + " HELP.")
}

// ErrNoGroup returns the error for a consumer group that isn't there, or whose key isn't.
func ErrNoGroup(key, group []byte) *Error {
	return &Error{Code: "NOGROUP",
		Msg: "No such key '" + cut(key, len(key)) + "' or consumer group '" + cut(group, len(group)) + "'"}
}

// ErrNoGroupToRead is ErrNoGroup as XREADGROUP says it.
func ErrNoGroupToRead(key, group []byte) *Error {
	e := ErrNoGroup(key, group)
	e.Msg += " in XREADGROUP with GROUP option"
	return e
}

// ErrNoGroupOfKey returns the error for a consumer group that a stream doesn't have.
func ErrNoGroupOfKey(group, key []byte) *Error {
	return &Error{Code: "NOGROUP",
		Msg: "No such consumer group '" + cut(group, len(group)) + "' for key name '" + cut(key, len(key)) + "'"}
}

// ErrXClaimOption returns the error of XCLAIM for an option that it doesn't know.
func ErrXClaimOption(option []byte) *Error {
	return generic("Unrecognized XCLAIM option '" + cut(option, len(option)) + "'")
}

// ErrInvalidExpire returns the error for an expiry that is not positive or overflows; cmd is the command's name in
// lower case.
func ErrInvalidExpire(cmd string) *Error {
	return generic("invalid expire time in '" + cmd + "' command")
}

// ErrUnsupportedOption returns the error of EXPIRE and its kin for an option they don't know.
func ErrUnsupportedOption(option []byte) *Error {
	return generic("Unsupported option " + string(option))
}

// ErrGeoPair returns the error of a position that is none.
func ErrGeoPair(lon, lat float64) *Error {
	return generic("invalid longitude,latitude pair " + fixed(lon) + "," + fixed(lat))
}

// fixed writes a number with six decimals.
func fixed(f float64) string {
	if math.IsInf(f, 0) {
		return string(FormatDouble(nil, f))
	}
	return strconv.FormatFloat(f, 'f', 6, 64)
}

// ErrGeoStore returns the error of a search that is to store what it finds and to reply more of it.
func ErrGeoStore(what string) *Error {
	return generic(what + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
}

// ErrGeoFrom returns the error of a search that lacks a center; name is the command's as it was written.
func ErrGeoFrom(name []byte) *Error {
	return generic("exactly one of FROMMEMBER or FROMLONLAT can be specified for " + string(name))
}

// ErrGeoBy returns the error of a search that lacks a shape; name is the command's as it was written.
func ErrGeoBy(name []byte) *Error {
	return generic("exactly one of BYRADIUS and BYBOX can be specified for " + string(name))
}

// ErrPFDebugUnknown returns the error of PFDEBUG for a subcommand that it doesn't know.
func ErrPFDebugUnknown(sub []byte) *Error {
	return generic("Unknown PFDEBUG subcommand '" + string(sub) + "'")
}

// ErrUnknownArgument returns the error of HSETEX for an option that it doesn't know.
func ErrUnknownArgument(option []byte) *Error {
	return generic("unknown argument: " + string(option))
}

// ErrHelloOption returns the error for an option that HELLO doesn't know or that lacks its arguments.
func ErrHelloOption(option []byte) *Error {
	return generic("Syntax error in HELLO option '" + string(option) + "'")
}

// ErrUnknownClientType returns the error of CLIENT LIST and CLIENT KILL for a TYPE that doesn't exist.
func ErrUnknownClientType(name []byte) *Error {
	return generic("Unknown client type '" + string(name) + "'")
}

// ErrConfigUnknown returns the error of CONFIG SET for a parameter that doesn't exist.
func ErrConfigUnknown(name []byte) *Error {
	return generic("Unknown option or number of arguments for CONFIG SET - '" + string(name) + "'")
}

// ErrConfigSet returns the error of CONFIG SET for a parameter that can't have the value.
func ErrConfigSet(name, reason string) *Error {
	return generic("CONFIG SET failed (possibly related to argument '" + name + "') - " + reason)
}

// ErrSubscribeMode returns the error for a command that a RESP2 connection can't run while it is subscribed; name is
// the command's full name in lower case.
func ErrSubscribeMode(name string) *Error {
	return generic("Can't execute '" + name + "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET " +
		"are allowed in this context")
}

// ErrNoPermCommand returns the error for a command that the user may not run; name is its full name in lower case.
func ErrNoPermCommand(name string) *Error {
	return &Error{Code: "NOPERM", Msg: "this user has no permissions to run the '" + name + "' command"}
}

// ErrMisconfAOF returns the refusal of writes while the append-only file can't be written; reason is the system's.
func ErrMisconfAOF(reason string) *Error {
	return &Error{Code: "MISCONF", Msg: "Errors writing to the AOF file: " + reason}
}

// ErrBlockInScript returns the error of a command that a script calls with the option BLOCK; name is the command's as
// it was written.
func ErrBlockInScript(name []byte) *Error {
	return generic(string(name) + " command is not allowed with BLOCK option from scripts")
}

// ErrScriptMisconfAOF returns the refusal of a script that may write while the append-only file can't be written.
func ErrScriptMisconfAOF(reason string) *Error {
	return &Error{Code: "MISCONF", Msg: "Redis is configured to persist data to AOF, but it's currently unable to " +
		"persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: " +
		reason}
}

// ErrExecDiscarded returns the error of EXEC for a transaction refused as a whole, whose reason is because. The code
// ERR is left out, as Redis does.
func ErrExecDiscarded(because *Error) *Error {
	text := because.Error()
	if because.Code == "ERR" {
		text = because.Msg
	}
	return &Error{Code: "EXECABORT", Msg: "Transaction discarded because of: " + text}
}
