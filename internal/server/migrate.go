package server

import (
	"strconv"
	"strings"

	"fulmen/internal/resp"
	"fulmen/shard/command"
)

func migrateRows() []*command.Row {
	flags := command.KeyRW | command.KeyAccess | command.KeyDelete
	return []*command.Row{{
		Info: command.Info{
			Name: "migrate", Arity: -6, Flags: command.Write | command.MovableKeys,
			Categories: command.CatKeyspace | command.CatDangerous,
			Keys: []command.KeySpec{
				{First: 3, Step: 1, Find: findMigrateKeys, Flags: flags},
				{First: -2, Last: -1, Step: 1, Keyword: "KEYS", Find: noMoreKeys, Flags: flags | command.KeyIncomplete},
			},
			Group: "generic", Since: "2.6.0",
			Summary: "Atomically transfer a key from a Redis instance to another one.",
			Complexity: "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the " +
				"target instance. See the pages of these commands for time complexity. Also an O(N) data transfer " +
				"between the two instances is performed.",
			History: []command.Change{
				{Since: "3.0.0", What: "Added the `COPY` and `REPLACE` options."},
				{Since: "3.0.6", What: "Added the `KEYS` option."},
				{Since: "4.0.7", What: "Added the `AUTH` option."},
				{Since: "6.0.0", What: "Added the `AUTH2` option."},
			},
			Tips: []string{"nondeterministic_output"},
			Args: "host port:integer key_or_empty_string(key|empty_string:pure-token='') destination-db:integer " +
				"timeout:integer COPY?@3.0.0 REPLACE?@3.0.0 authentication?(password=AUTH?@4.0.7|" +
				"username_password=AUTH2?@6.0.0(username password)) key:key#1=KEYS?*@3.0.6",
		},
		NotQueued: true, Secret: secretOfMigrate, RunSession: onSession(cmdMigrate),
	}}
}

// firstMigrateOption is the position of MIGRATE's first option.
const firstMigrateOption = 6

// eachMigrateOption calls fn for each option of MIGRATE, with its position, up to KEYS or what is no option.
func eachMigrateOption(args [][]byte, fn func(option string, i int)) {
	for i := firstMigrateOption; i < len(args); i++ {
		option := strings.ToLower(cString(args[i]))
		fn(option, i)
		switch option {
		case "keys":
			return
		case "auth":
			i++
		case "auth2":
			i += 2
		}
	}
}

// findMigrateKeys appends the positions of the keys: those behind KEYS, or else the one key, which may be empty. With a
// key and KEYS there are none.
func findMigrateKeys(dst []int, args [][]byte) []int {
	behind := 0
	eachMigrateOption(args, func(option string, i int) {
		if option == "keys" {
			behind = i
		}
	})
	switch {
	case behind == 0:
		return append(dst, 3)
	case len(args[3]) > 0:
		return dst
	}
	for i := behind + 1; i < len(args); i++ {
		dst = append(dst, i)
	}
	return dst
}

func noMoreKeys(dst []int, _ [][]byte) []int { return dst }

// secretOfMigrate appends the positions of names and passwords.
func secretOfMigrate(dst []int, args [][]byte) []int {
	eachMigrateOption(args, func(option string, i int) {
		if i+1 < len(args) && (option == "auth" || option == "auth2") {
			dst = append(dst, i+1)
		}
		if i+2 < len(args) && option == "auth2" {
			dst = append(dst, i+2)
		}
	})
	return dst
}

var errMigrateKey = resp.Errorf("ERR", "When using MIGRATE KEYS option, the key argument must be set to the empty "+
	"string")

// migrateTarget says where keys go, and how.
type migrateTarget struct {
	addr      string // host:port
	db        int64
	timeoutMs int64 // for each step, as in Redis
	auth      []string
	copy      bool
	replace   bool
}

const (
	defaultMigrateMs = 1000
	longestMigrateMs = 1 << 40
)

// parse reads the arguments, whose options come first.
func (t *migrateTarget) parse(c *command.Ctx) error {
	a := c.ArgsFrom(firstMigrateOption)
	for a.More() {
		switch {
		case a.Option("copy"):
			t.copy = true
		case a.Option("replace"):
			t.replace = true
		case a.Option("auth"):
			t.auth = []string{"AUTH", string(a.Bytes())}
		case a.Left() > 2 && a.Option("auth2"):
			t.auth = []string{"AUTH", string(a.Bytes()), string(a.Bytes())}
		case a.Option("keys"):
			if len(c.Args[3]) > 0 {
				return errMigrateKey
			}
			return t.parseNumbers(c.Args)
		default:
			a.Syntax()
		}
	}
	if a.Err() != nil {
		return a.Err()
	}
	return t.parseNumbers(c.Args)
}

func (t *migrateTarget) parseNumbers(args [][]byte) error {
	timeout, ok := resp.ParseInt(args[5])
	if !ok {
		return resp.ErrNotInteger
	}
	if t.db, ok = resp.ParseInt(args[4]); !ok {
		return resp.ErrNotInteger
	}
	if timeout <= 0 {
		timeout = defaultMigrateMs
	}
	t.timeoutMs = min(timeout, longestMigrateMs)
	port, err := strconv.Atoi(cString(args[2]))
	if err != nil {
		port = 0 // nobody is there
	}
	t.addr = hostPort(cString(args[1]), port)
	return nil
}

// MIGRATE host port key|"" destination-db timeout [COPY] [REPLACE] [AUTH password | AUTH2 username password]
// [KEYS key [key ...]]: not in transactions, in the middle of which batons can't be given back.
func cmdMigrate(s *Session) error {
	m := &migration{s: s, row: s.c.Row, db: s.db}
	if err := m.parse(s.c); err != nil {
		return err
	}
	for i := range s.c.Keys {
		k := &s.c.Keys[i]
		if e, ok := k.Shard.DB(s.db).Get(k.Key, s.c.NowMs); ok {
			k.Shard.Stats.Hits++
			m.add(k.Key, k.Shard, e, s.c.NowMs, m.replace)
		} else {
			k.Shard.Stats.Misses++
		}
	}
	if len(m.keys) == 0 {
		s.c.Simple("NOKEY")
		return nil
	}
	m.begin()
	return nil
}
