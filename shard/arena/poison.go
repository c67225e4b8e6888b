package arena

import (
	"bytes"
	"unsafe"

	"fulmen/internal/invariant"
)

// Under the build tag `invariants` freed blocks are filled with poisonByte, and looked at again when they are
// handed out: who wrote to a block after freeing it is found out, and who reads one sees nonsense. The first
// two bytes of a small block are the free list's; of a big block only the ends are filled.
const poisonByte = 0xDB

var poisoned = bytes.Repeat([]byte{poisonByte}, MaxSmall)

// poisonFreed fills a block that is being freed; off is its place in its slab in units of 8 bytes.
func poisonFreed(p unsafe.Pointer, size, off uint32) {
	if !invariant.Enabled {
		return
	}
	invariant.Check(off<<3%size == 0, "arena: Free of an address inside a block")
	b := unsafe.Slice((*byte)(p), size)[2:]
	invariant.Check(size == 8 || !bytes.Equal(b, poisoned[2:size]), "arena: block freed twice")
	copy(b, poisoned)
}

// checkReused looks at a block that comes from the free list.
func checkReused(p unsafe.Pointer, size uint32) {
	if !invariant.Enabled {
		return
	}
	b := unsafe.Slice((*byte)(p), size)[2:]
	invariant.Check(bytes.Equal(b, poisoned[2:size]), "arena: block written to after it was freed")
	clear(b) // a block that nobody writes to must not look freed when it is
}

// clearCarved does the same for a block handed out for the first time since its slab was last empty.
func clearCarved(p unsafe.Pointer, size uint32) {
	if invariant.Enabled {
		clear(unsafe.Slice((*byte)(p), size))
	}
}

func poisonBig(p unsafe.Pointer, size int) {
	if !invariant.Enabled {
		return
	}
	b := unsafe.Slice((*byte)(p), size)
	copy(b[:pageSize], poisoned)
	copy(b[size-pageSize:], poisoned)
}
