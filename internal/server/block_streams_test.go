package server_test

// streamWaits are waits of streams.
var streamWaits = map[string]string{
	"all who read a stream get what is added": `
		XADD s 1 f v
		b! XREAD BLOCK 0 STREAMS s $
		c! XREAD BLOCK 0 STREAMS s 1
		d! XREAD BLOCK 0 STREAMS s 5
		e! XREAD BLOCK 100000 COUNT 1 STREAMS none s $ $
		BLOCKED
		TIMED
		XADD s 2 f v
		b<
		c<
		e<
		BLOCKED
		MULTI
		XADD s 6 f v
		XADD s 7 g w
		EXEC
		d<
		b! XREAD BLOCK 0 STREAMS s $
		b? PING
		XADD s 8 f v
		b<
		b<
		BLOCKED`,
	"a stream that is new": `
		b! XREAD BLOCK 0 STREAMS s $
		c! XREAD BLOCK 0 STREAMS s 0
		d! XREAD BLOCK 0 STREAMS t s 0 5
		XADD s 0-1 f v
		b<
		c<
		BLOCKED
		DEL s
		XADD s 7 f v
		d<
		b: HELLO 3
		b! XREAD BLOCK 0 STREAMS s x $ $
		XADD x 9 f v
		b<
		b! XREAD BLOCK 0 COUNT 2 STREAMS s x 7 9
		MULTI
		XADD x 10 f v
		XADD s 11 f v
		XADD s 12 f v
		XADD s 13 f v
		EXEC
		b<`,
	"one stream named twice": `
		b! XREAD BLOCK 0 STREAMS s s 1 5
		XADD s 4 f v
		b<
		XGROUP CREATE s g $
		b! XREADGROUP GROUP g c BLOCK 0 STREAMS s s > >
		XADD s 6 f v
		b<`,
	"added and removed": `
		XGROUP CREATE s g $ MKSTREAM
		b! XREAD BLOCK 0 STREAMS s $
		c! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		XADD s MAXLEN 5 1 f v
		b<
		c<
		b! XREAD BLOCK 0 STREAMS s $
		XDEL s 1
		XTRIM s MAXLEN 0
		XSETID s 5
		BLOCKED
		XADD s 7 f v
		b<`,
	"a key of another type": `
		b! XREAD BLOCK 0 STREAMS s $
		c! BLPOP s 0
		d! BZPOPMIN s 0
		RPUSH s a b
		c<
		BLOCKED
		DEL s
		XADD s 1 f v
		b<
		BLOCKED
		b! XREAD BLOCK 0 STREAMS s $
		SET s x
		BLOCKED
		DEL s
		ZADD s 1 a 2 b
		d<
		DEL s
		XADD s 9 f v
		b<`,
	"each entry goes to one consumer of a group": `
		XGROUP CREATE s g $ MKSTREAM
		XGROUP CREATE s h $
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		c! XREADGROUP GROUP g y BLOCK 0 STREAMS s >
		d! XREADGROUP GROUP h x BLOCK 0 NOACK STREAMS s >
		XADD s 1 f v
		b<
		d<
		BLOCKED
		MULTI
		XADD s 2 f v
		XADD s 3 f v
		EXEC
		c<
		XPENDING s g
		XPENDING s h
		XINFO GROUPS s
		b! XREADGROUP GROUP g x COUNT 1 BLOCK 0 STREAMS s >
		c! XREADGROUP GROUP g y BLOCK 0 STREAMS s >
		MULTI
		XADD s 4 f v
		XADD s 5 f v
		XADD s 6 f v
		EXEC
		b<
		c<
		XINFO GROUPS s
		XPENDING s g`,
	"a stream or a group that goes": `
		XGROUP CREATE s g $ MKSTREAM
		XGROUP CREATE t g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s t > >
		c! XREAD BLOCK 0 STREAMS s $
		XGROUP DESTROY s g
		b<
		BLOCKED
		XGROUP CREATE s g $
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s t > >
		DEL t
		b<
		XGROUP CREATE t g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s t > >
		SET s x
		b<
		BLOCKED
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS t >
		RENAME t q
		b<
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS q >
		MULTI
		DEL q
		XADD q 1 f v
		EXEC
		b<
		XGROUP CREATE q g $
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS q >
		MOVE q 1
		b<
		BLOCKED
		STATS xreadgroup`,
	"databases that go": `
		XGROUP CREATE s g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		c! XREAD BLOCK 0 STREAMS s $
		FLUSHDB
		b<
		XGROUP CREATE s g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		FLUSHALL ASYNC
		b<
		XGROUP CREATE s g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		SWAPDB 0 1
		b<
		BLOCKED
		SWAPDB 0 1
		XADD s 1 f v
		c<
		BLOCKED`,
	"a stream that expires": `
		XGROUP CREATE s g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		PEXPIRE s 1
		b<
		XGROUP CREATE s g $ MKSTREAM
		PEXPIREAT s 1
		XADD s 1 f v`,
	"ways by which a stream appears": `
		XADD q 5 f v
		XGROUP CREATE q g 0
		b! XREAD BLOCK 0 STREAMS s 1
		COPY q s
		b<
		DEL s
		b! XREAD BLOCK 0 STREAMS s 1
		RENAME q s
		b<
		b! XREAD BLOCK 0 STREAMS q 1
		COPY s q DB 1
		SELECT 1
		MOVE q 0
		b<
		SELECT 0
		b! XREAD BLOCK 0 STREAMS r 1
		SELECT 1
		XADD r 9 f v
		SWAPDB 0 1
		b<`,
	"in MULTI nobody waits": `
		XGROUP CREATE s g $ MKSTREAM
		MULTI
		XREAD BLOCK 0 STREAMS s $
		XREADGROUP GROUP g c BLOCK 0 STREAMS s >
		XADD s 1 f v
		XREAD BLOCK 0 STREAMS s $
		XREADGROUP GROUP g c BLOCK 0 STREAMS s >
		EXEC
		BLOCKED`,
	"streams and timeouts": `
		b? XREAD BLOCK 10 STREAMS s $
		b<
		XGROUP CREATE s g $ MKSTREAM
		b? XREADGROUP GROUP g c BLOCK 10 STREAMS s >
		b<
		XINFO GROUPS s
		b! XREAD BLOCK 0 STREAMS s $
		CLIENT UNBLOCK <b>
		b<
		b! XREADGROUP GROUP g c BLOCK 0 STREAMS s >
		CLIENT UNBLOCK <b> ERROR
		b<
		b: HELLO 3
		b? XREAD BLOCK 10 STREAMS s $
		b<
		STATS xread
		STATS xreadgroup
		STATS xadd`,
	"a consumer that is gone takes nothing": `
		XGROUP CREATE s g $ MKSTREAM
		b! XREADGROUP GROUP g x BLOCK 0 STREAMS s >
		c! XREADGROUP GROUP g y BLOCK 0 STREAMS s >
		b.
		XADD s 1 f v
		c<
		XPENDING s g`,
	"what is read wakes nobody": `
		XADD s 1 f v
		XGROUP CREATE s g 0
		b! XREAD BLOCK 0 STREAMS s $
		XREADGROUP GROUP g x STREAMS s >
		XACK s g 1
		XGROUP CREATECONSUMER s g y
		XGROUP SETID s g 0
		BLOCKED
		XADD s 2 f v
		b<`,
}
