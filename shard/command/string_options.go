package command

import (
	"math"

	"fulmen/internal/resp"
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

	// optAnyTTL are those that say something about the expiry: at most one of them can be given, but that one
	// several times.
	optAnyTTL = optKeepTTL | optPersist | optEX | optPX | optEXAT | optPXAT
)

// expireOptions are the options that have a time.
var expireOptions = [...]struct {
	word string
	opt  stringOption
}{{"ex", optEX}, {"px", optPX}, {"exat", optEXAT}, {"pxat", optPXAT}}

// stringOptions are the options of one call.
type stringOptions struct {
	has    stringOption
	expire []byte // the argument of EX, PX, EXAT or PXAT
}

// parse reads options to the end: those of SET, or else those of GETEX.
func (o *stringOptions) parse(a Args, forSet bool) error {
	for a.More() {
		switch {
		case forSet && o.has&optXX == 0 && a.Option("nx"):
			o.has |= optNX
		case forSet && o.has&optNX == 0 && a.Option("xx"):
			o.has |= optXX
		case forSet && a.Option("get"):
			o.has |= optGet
		case forSet && o.has&optAnyTTL&^optKeepTTL == 0 && a.Option("keepttl"):
			o.has |= optKeepTTL
		case !forSet && o.has&optAnyTTL&^optPersist == 0 && a.Option("persist"):
			o.has |= optPersist
		default:
			o.parseExpire(&a)
		}
	}
	return a.Err()
}

func (o *stringOptions) parseExpire(a *Args) {
	for _, x := range expireOptions {
		if o.has&optAnyTTL&^x.opt == 0 && a.Option(x.word) {
			o.has |= x.opt
			o.expire = a.Bytes()
			return
		}
	}
	a.Syntax()
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
