package command

import "fulmen/internal/resp"

// openArray is an array or a map in a reply whose length is known when all of it is there. It begins with a length that
// is likely, so that nothing has to be moved where that is right.
type openArray struct {
	at     Mark
	head   int // bytes
	likely int
	isMap  bool
}

// openArray begins an array of about so many elements.
func (c *Ctx) openArray(likely int) openArray {
	o := openArray{at: c.Mark(), likely: likely}
	c.Array(likely)
	o.head = len(c.Out) - o.at.at
	return o
}

// openMap begins a map of about so many pairs, which RESP2 has as an array of pairs that are arrays, as XREAD replies.
func (c *Ctx) openMap(likely int) openArray {
	if c.Proto < 3 {
		return c.openArray(likely)
	}
	o := openArray{at: c.Mark(), likely: likely, isMap: true}
	c.Map(likely)
	o.head = len(c.Out) - o.at.at
	return o
}

// end says that there are n elements, or pairs.
func (o *openArray) end(c *Ctx, n int) {
	if n == o.likely {
		return
	}
	var text [24]byte
	head := resp.AppendArray(text[:0], n)
	if o.isMap {
		head = resp.AppendMap(text[:0], c.Proto, n)
	}
	c.replace(o.at, o.head, head)
}
