package object

import "fulmen/internal/resp"

// biggestItem is the size as which an item counts that takes more: more than any listpack of a list may have.
const biggestItem = 1<<17 - 1

// ListpackItem returns the bytes that an item of n bytes takes in a listpack of Redis (package rdb has its form),
// biggestItem at most. b is the item; it may be nil if it is longer than any integer.
func ListpackItem(b []byte, n int) int {
	size := 0
	v, isInt := int64(0), false
	if n < 21 {
		v, isInt = resp.ParseInt(b)
	}
	switch {
	case !isInt && n < 64:
		size = 1 + n
	case !isInt && n < 4096:
		size = 2 + n
	case !isInt:
		size = 5 + min(n, biggestItem)
	case v >= 0 && v < 128:
		size = 1
	case v >= -4096 && v < 4096:
		size = 2
	case v == int64(int16(v)):
		size = 3
	case v >= -1<<23 && v < 1<<23:
		size = 4
	case v == int64(int32(v)):
		size = 5
	default:
		size = 9
	}
	switch { // the item's length, for going backwards
	case size <= 127:
		size++
	case size < 16383:
		size += 2
	default:
		size += 3
	}
	return min(size, biggestItem)
}
