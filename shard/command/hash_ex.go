package command

import (
	"strconv"

	"fulmen/internal/resp"
	"fulmen/shard"
)

// appendNumber returns the text of n.
func appendNumber(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// HGETEX key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]
// FIELDS numfields field [field ...]
func cmdHGetEx(c *Ctx) error {
	h, err := c.writeHash()
	if err != nil {
		return err
	}
	i, atMs := 2, int64(0)
	persist := isWord(c.Args[2], "persist")
	x, timed := fieldTimeOption(c.Args[2])
	switch {
	case persist:
		i++
	case timed:
		i += 2
		if atMs, err = c.fieldTime(c.Args[3], x.base(c), x.unitMs); err != nil {
			return err
		}
	}
	if i+1 >= len(c.Args) {
		return resp.ErrWrongArity(c.Row.FullName)
	}
	fields, err := c.fieldArgs(i, resp.ErrNumFieldsPositive)
	if err != nil {
		return err
	}
	if h.Exists() && (timed || persist) {
		h.Mix()
	}
	var set, gone [][]byte
	c.Array(len(fields))
	for _, field := range fields {
		was, ok := h.ExpireAt(field)
		c.replyField(&h, field)
		switch {
		case !ok || !timed && (!persist || was == 0):
		case persist:
			h.SetExpire(field, 0)
			c.Dirty++
			set = append(set, field)
		case c.expireField(&h, field, atMs):
			gone = append(gone, field)
		default:
			set = append(set, field)
		}
	}
	c.notifyFields(&h, gone, set, persist)
	switch {
	case len(gone) > 0:
		c.fieldsGone(gone)
	case persist:
		c.fieldsEffect(len(set), set, wordHPersist)
	case timed:
		c.setEffect(set, atMs)
	}
	return nil
}

// fieldTimes is an option that gives an expiry.
type fieldTimes struct {
	word     string
	unitMs   int64
	relative bool
}

var fieldTimeOptions = [...]fieldTimes{{"ex", 1000, true}, {"px", 1, true}, {"exat", 1000, false}, {"pxat", 1, false}}

// fieldTimeOption finds the option that an argument is.
func fieldTimeOption(arg []byte) (x fieldTimes, ok bool) {
	for _, x := range fieldTimeOptions {
		if isWord(arg, x.word) {
			return x, true
		}
	}
	return x, false
}

// base is the time from which the option counts.
func (x *fieldTimes) base(c *Ctx) int64 {
	if x.relative {
		return c.NowMs
	}
	return 0
}

// HGETDEL key FIELDS numfields field [field ...]
func cmdHGetDel(c *Ctx) error {
	h, err := c.writeHash()
	if err != nil {
		return err
	}
	fields, err := c.fieldArgs(2, resp.ErrNumFieldsPositive)
	if err != nil {
		return err
	}
	var gone [][]byte
	c.Array(len(fields))
	for _, field := range fields {
		c.replyField(&h, field)
		if h.Delete(field) {
			c.Dirty++
			gone = append(gone, field)
		}
	}
	c.notifyFields(&h, gone, nil, false)
	c.fieldsGone(gone)
	return nil
}

// hsetexOptions are the options of HSETEX.
type hsetexOptions struct {
	fnx, fxx, keepTTL, timed bool
	atMs                     int64
	pairs                    [][]byte
}

// parse reads the arguments behind the key.
func (o *hsetexOptions) parse(c *Ctx) error {
	for i := 2; i < len(c.Args); i++ {
		x, timed := fieldTimeOption(c.Args[i])
		fnx, fxx := isWord(c.Args[i], "fnx"), isWord(c.Args[i], "fxx")
		keep := isWord(c.Args[i], "keepttl")
		switch {
		case isWord(c.Args[i], "fields"):
			return o.parsePairs(c, i)
		case (timed || keep) && (o.timed || o.keepTTL):
			return resp.ErrHSetExTimes
		case timed && i == len(c.Args)-1:
			return resp.ErrHSetExNoTime
		case timed:
			var err error
			i++
			if o.atMs, err = c.fieldTime(c.Args[i], x.base(c), x.unitMs); err != nil {
				return err
			}
			o.timed = true
		case keep:
			o.keepTTL = true
		case (fnx || fxx) && (o.fnx || o.fxx):
			return resp.ErrHSetExConditions
		case fnx || fxx:
			o.fnx, o.fxx = fnx, fxx
		default:
			return resp.ErrUnknownArgument(cString(c.Args[i]))
		}
	}
	return resp.ErrWrongArity(c.Row.FullName)
}

// parsePairs reads what follows FIELDS, which is argument i.
func (o *hsetexOptions) parsePairs(c *Ctx, i int) error {
	if i >= len(c.Args)-3 {
		return resp.ErrWrongArity(c.Row.FullName)
	}
	n, ok := resp.ParseInt(c.Args[i+1])
	if !ok || n < 1 || n != int64(int32(n)) {
		return resp.ErrHSetExNumFields
	}
	o.pairs = c.Args[i+2:]
	if len(o.pairs)%2 != 0 || n != int64(len(o.pairs)/2) {
		return resp.ErrWrongArity(c.Row.FullName)
	}
	return nil
}

// allows tells whether the conditions on the fields are met.
func (o *hsetexOptions) allows(h *shard.Hash) bool {
	if !o.fnx && !o.fxx {
		return true
	}
	for i := 0; i < len(o.pairs); i += 2 {
		if _, ok := h.ExpireAt(o.pairs[i]); ok == o.fnx {
			return false
		}
	}
	return true
}

// HSETEX key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds |
// KEEPTTL] FIELDS numfields field value [field value ...]
func cmdHSetEx(c *Ctx) error {
	var o hsetexOptions
	if err := o.parse(c); err != nil {
		return err
	}
	h, err := c.writeHash()
	if err == nil {
		err = checkTexts(o.pairs)
	}
	if err != nil {
		return err
	}
	if !o.allows(&h) {
		c.Bool(false)
		return nil
	}
	c.setFields(&h, o.keepTTL || o.timed, o.pairs...)
	if o.timed {
		h.Mix()
	}
	var gone [][]byte
	for i := 0; o.timed && i < len(o.pairs); i += 2 {
		if _, ok := h.ExpireAt(o.pairs[i]); !ok { // it stands twice among the fields and is gone
			continue
		}
		if c.expireField(&h, o.pairs[i], o.atMs) {
			gone = append(gone, o.pairs[i])
		}
	}
	n := len(o.pairs) / 2
	c.Dirty = n
	c.Notify(&c.Keys[0], shard.EventHash, "hset")
	if o.timed && len(gone) == 0 {
		c.Notify(&c.Keys[0], shard.EventHash, "hexpire")
	}
	c.notifyFields(&h, gone, nil, false)
	switch {
	case len(gone) > 0:
		c.fieldsGone(gone)
	case o.timed:
		c.fieldsEffect(n, o.pairs, wordHSetEx, wordPXAT, appendNumber(o.atMs))
	case o.keepTTL:
		c.fieldsEffect(n, o.pairs, wordHSetEx, wordKeepTTL)
	default:
		c.fieldsEffect(n, o.pairs, wordHSetEx)
	}
	c.Bool(true)
	return nil
}
