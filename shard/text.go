package shard

import "fulmen/shard/object"

// Text is a string that is part of a value, in one piece or in pages. It is valid until the next change in the shard
// and must not be written to.
type Text = object.Text
