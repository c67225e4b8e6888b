// Package redistest compares a server with a real one: by scripts whose replies were recorded from redis-server, and by
// random streams of commands sent to both.
//
// It is a package for tests only. It talks to servers through sockets and knows nothing of how they are built; a Server
// is a name and a function that starts one. It is not a load generator (that is benchmarks), and what is checked here
// is what a server answers, not when.
//
// # Scripts
//
// A script is a file <family>/<command>.txt: commands as one types them into redis-cli, each followed by its reply. The
// replies are recorded from a real server, never typed:
//
//	go test ./shard/command -run Scripts -rewrite                 # from the redis-server on PATH
//	go test ./shard/command -run Scripts -rewrite -redis :7777    # from that one
//
// and without -rewrite they are what every server must answer, in RESP2 and in RESP3. Lines of a script:
//
//	# text                a comment
//	oracle redis 7.0.15   the server that the replies come from; another one leaves the script alone
//	> SET k "a\r\n"       a command, with the quoting of redis-cli
//	@2 > GET k            the same on a second connection; 1 is the first
//	@2 <                  one more message read from a connection
//
// and before a command, for its reply only:
//
//	unordered             elements of arrays, sets and maps come in any order; "unordered 2": in any order of pairs
//	~float                numbers written as text may differ in the 15th digit
//	near 1000             integers may differ by 1000
//	any                   any reply of the same kind
//	noreply               no reply comes
//	limits                the reply holds with the sizes at which encodings change by default, so not for servers with
//	                      others; it goes without saying for OBJECT ENCODING and CONFIG GET
//
// A reply is written as RESP is, a line each value, items indented by two blanks under their head:
//
//	+OK   -ERR text   :12   "bulk"   ,1.5   #t   (12345   ="txt:text"   nil   *2 array   %2 map   ~2 set   >2 push
//
// nil is the null of the connection's protocol; nil-array is RESP2's null array. A bulk string above 256 bytes is
// written by its first bytes, its length and its SHA-256. A reply that differs between the protocols stands there
// twice, under the lines RESP2: and RESP3:.
//
// # Streams
//
// A Grammar says what random commands look like, bad ones among them. Diff sends the same seeded stream to two servers
// over two connections each, compares all replies and, now and then, all keys, and shrinks a stream that they answer
// differently to a short one, printed as a script.
//
// # Oracles
//
// Where there is no redis-server the tests that want one skip, and under CI=true they fail.
package redistest
