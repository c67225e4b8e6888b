package object

// Container says what the elements of a collection stood in where it comes from, a file or a payload of DUMP. What it
// is called by when it is there goes by that too.
type Container uint8

// The containers.
const (
	Elements Container = iota // none: one element after the other
	Listpack                  // a listpack, or one of its forerunners
	Intset
)

// Source says what a value is made of where it comes from.
type Source struct {
	Type      Type
	Container Container
	// Expiring: its form is one for fields with an expiry, whether there are any or not.
	Expiring bool
	// Several: a list that stands in several containers, which is no listpack however short it is.
	Several bool
	// N is how many elements are said to come; 0 if that is not known. It may be untrue.
	N uint64
}
