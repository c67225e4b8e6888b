package arena

const (
	slabShift   = 16
	slabSize    = 1 << slabShift
	refShift    = slabShift - 3 // a Ref's bits below the slab number
	regionSlabs = 32            // slabs of a 2 MiB region, the unit of growth and of huge pages
	regionSize  = regionSlabs * slabSize
	pageSize    = 4096

	// MaxSmall is the largest size in bytes that is served from a size class; bigger blocks are runs of slabs.
	MaxSmall = slabSize / 2
	// MaxSize is the largest block in bytes that Alloc gives.
	MaxSize = 1 << 30

	exactLimit = 256 // up to here every multiple of 8 is a class
	maxClasses = 128
	largeClass = 0xFF // in slabMeta.id, the first slab of a big block
	deadClass  = 0xFE // in slabMeta.id, a slab without blocks
)

// classTable maps sizes to classes. Up to 256 bytes each multiple of 8 is a class of its own. Above, a class is a
// fraction of a slab (64 KiB / k, rounded down to 8), chosen so that a block wastes at most 1/16 of its size.
// From 4 KiB on neighbouring fractions lie further apart than that, and a size between them would not put one block
// more into a slab: all of them are classes. 4096 (16 a slab) and 5952 (11 a slab) are the index's segments.
type classTable struct {
	count  int
	size   [maxClasses]uint32
	blocks [maxClasses]uint16    // capacity of a slab
	of     [MaxSmall/8 + 1]uint8 // class by (size+7)/8
}

var classes = func() (t classTable) {
	add := func(size int) {
		t.size[t.count] = uint32(size)
		t.blocks[t.count] = uint16(slabSize / size)
		t.count++
	}
	for size := 8; size <= exactLimit; size += 8 {
		add(size)
	}
	last, best := exactLimit, 0
	for k := slabSize / exactLimit; k >= 2; k-- {
		size := slabSize / k &^ 7
		if size <= last {
			continue
		}
		if best > last && size*15 > (last+8)*16 { // too far from the smallest block it would hold
			add(best)
			last = best
		}
		best = size
	}
	add(best)
	class := 0
	for i := range t.of {
		if uint32(i*8) > t.size[class] {
			class++
		}
		t.of[i] = uint8(class)
	}
	return t
}()

// UsableSize returns the bytes that a block of the given size occupies: its class, or for a big block its pages.
// A block may be used up to that size as long as Free gets a size of the same class.
func UsableSize(size int) int {
	if size <= MaxSmall {
		return int(classes.size[classes.of[(size+7)>>3]])
	}
	return (size + pageSize - 1) &^ (pageSize - 1)
}
