package command

import (
	"math"

	"fulmen/internal/resp"
	"fulmen/shard"
	"fulmen/shard/ds/index"
	"fulmen/shard/object"
)

// stringOption is a set of options of SET and GETEX.
type stringOption uint16

const (
	optNX stringOption = 1 << iota
	optXX
	optGet
	optKeepTTL
	optPersist
	optEX
	optPX
	optEXAT
	optPXAT
	optIfEq
	optIfNe
	optIfDigestEq
	optIfDigestNe

	optIf    = optIfEq | optIfNe | optIfDigestEq | optIfDigestNe
	optTimes = optEX | optPX | optEXAT | optPXAT
	// optCondition are those that may forbid a SET: at most one of them can be given.
	optCondition = optNX | optXX | optIf
	// optAnyTTL are those that say something about the expiry: at most one of them can be given, but that one
	// several times.
	optAnyTTL = optKeepTTL | optPersist | optEX | optPX | optEXAT | optPXAT
)

// expireOptions are the options that have a time.
var expireOptions = [...]struct {
	word string
	opt  stringOption
}{{"ex", optEX}, {"px", optPX}, {"exat", optEXAT}, {"pxat", optPXAT}}

// ifOptions are the conditions on the value that is there.
var ifOptions = [...]struct {
	word string
	opt  stringOption
}{{"ifeq", optIfEq}, {"ifne", optIfNe}, {"ifdeq", optIfDigestEq}, {"ifdne", optIfDigestNe}}

// The options that commands have.
const (
	optsOfSet    = optCondition | optGet | optKeepTTL | optTimes
	optsOfGetEx  = optPersist | optTimes
	optsOfMSetEx = optNX | optXX | optKeepTTL | optTimes
)

// stringOptions are the options of one call.
type stringOptions struct {
	has    stringOption
	expire []byte // the argument of EX, PX, EXAT or PXAT
	match  []byte // the argument of IFEQ, IFNE, IFDEQ or IFDNE
}

// parse reads options to the end: those among may.
func (o *stringOptions) parse(a Args, may stringOption) error {
	for a.More() {
		switch {
		case may&optNX != 0 && o.has&optCondition&^optNX == 0 && a.Option("nx"):
			o.has |= optNX
		case may&optXX != 0 && o.has&optCondition&^optXX == 0 && a.Option("xx"):
			o.has |= optXX
		case may&optGet != 0 && a.Option("get"):
			o.has |= optGet
		case may&optKeepTTL != 0 && o.has&optAnyTTL&^optKeepTTL == 0 && a.Option("keepttl"):
			o.has |= optKeepTTL
		case may&optPersist != 0 && o.has&optAnyTTL&^optPersist == 0 && a.Option("persist"):
			o.has |= optPersist
		case !o.parseExpire(&a) && (may&optIf == 0 || !o.parseIf(&a)):
			a.Syntax()
		}
	}
	return a.Err()
}

// parseExpire consumes an option that has a time, if one comes next that may.
func (o *stringOptions) parseExpire(a *Args) bool {
	for _, x := range expireOptions {
		if o.has&optAnyTTL&^x.opt == 0 && a.Option(x.word) {
			o.has |= x.opt
			o.expire = a.Bytes()
			return true
		}
	}
	return false
}

// parseIf consumes a condition on the value that is there, if one comes next that may.
func (o *stringOptions) parseIf(a *Args) bool {
	for _, x := range ifOptions {
		if o.has&optCondition&^x.opt == 0 && a.Option(x.word) {
			o.has |= x.opt
			o.match = a.Bytes()
			return true
		}
	}
	return false
}

// allow tells whether the conditions allow to set a key that has the string in e, or to set one that isn't there. A
// value that is no string has no answer to optIf.
func (c *Ctx) allow(o *stringOptions, db *shard.DB, e index.Entry, found bool) (bool, error) {
	switch {
	case o.has&optIf == 0:
		return !found && o.has&optXX == 0 || found && o.has&optNX == 0, nil
	case !found:
		return o.has&(optIfNe|optIfDigestNe) != 0, nil
	case db.Type(e) != object.String:
		return false, resp.ErrWrongType
	}
	return c.matches(o, db, e)
}

// matches tells whether the string in e is as optIf wants it.
func (c *Ctx) matches(o *stringOptions, db *shard.DB, e index.Entry) (bool, error) {
	if o.has&(optIfEq|optIfNe) != 0 {
		return db.StringEqual(e, o.match) == (o.has&optIfEq != 0), nil
	}
	if len(o.match) != digestLen {
		return false, resp.ErrDigest
	}
	var b [digestLen]byte
	digest := string(appendDigest(b[:0], db, e))
	return equalFold(o.match, digest) == (o.has&optIfDigestEq != 0), nil
}

// expireAt returns the expiry that the options set, in absolute milliseconds; 0 if they set none.
func (o *stringOptions) expireAt(c *Ctx) (atMs int64, err error) {
	if o.expire == nil {
		return 0, nil
	}
	n, ok := resp.ParseInt(o.expire)
	if !ok {
		return 0, resp.ErrNotInteger
	}
	seconds := o.has&(optEX|optEXAT) != 0
	if n <= 0 || seconds && n > math.MaxInt64/1000 {
		return 0, resp.ErrInvalidExpire(c.Row.FullName)
	}
	if seconds {
		n *= 1000
	}
	if o.has&(optEX|optPX) != 0 {
		n += c.NowMs // an overflow is negative
	}
	if n <= 0 {
		return 0, resp.ErrInvalidExpire(c.Row.FullName)
	}
	return n, nil
}
