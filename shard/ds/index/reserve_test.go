package index

import "testing"

// TestReserve: an index that was told how many entries come is as good as one that has grown, takes hardly more, and
// grows and shrinks like any other.
func TestReserve(t *testing.T) {
	for _, n := range []int{0, 1, 287, 300, 500, 3000, 50_000, 77_777, 300_000} {
		grown, x := newTable(t, mixHash), newTable(t, mixHash)
		fakeEntries(grown, 0, n)
		x.Reserve(n)
		reserved := x.SizeBytes()
		if n > 300 && float64(reserved) > 11*float64(n) {
			t.Errorf("%d entries: %d bytes reserved", n, reserved)
		}
		fakeEntries(x, 0, n)
		if got, want := float64(x.SizeBytes()), float64(grown.SizeBytes()); got > 1.04*want {
			t.Errorf("%d entries: %.0f bytes, grown %.0f", n, got, want)
		}
		if n >= 50_000 && float64(x.SizeBytes()) > 1.04*float64(reserved) {
			t.Errorf("%d entries: %d bytes reserved, then %d", n, reserved, x.SizeBytes())
		}
		fakeEntries(x, n, 2*n)
		fakeEntries(grown, n, 2*n)
		checkTable(t, x, 2*n)
		if got, want := float64(x.SizeBytes()), float64(grown.SizeBytes()); got > 1.05*want+3000 {
			t.Errorf("%d entries after twice as many: %.0f bytes, grown %.0f", n, got, want)
		}
	}
}

// TestReserveTooMuch: what was reserved for nothing goes as all that has become empty.
func TestReserveTooMuch(t *testing.T) {
	x := newTable(t, mixHash)
	x.Reserve(200_000)
	fakeEntries(x, 0, 2000)
	checkTable(t, x, 2000)
	for i := 0; !x.Shrink(1000); i++ {
		if i > 10_000 {
			t.Fatal("no end of shrinking")
		}
	}
	if n := x.SizeBytes(); n > 2000*20 {
		t.Errorf("%d bytes after shrinking", n)
	}
	checkTable(t, x, 2000)
	before := x.SizeBytes()
	if x.Reserve(200_000); x.SizeBytes() != before {
		t.Error("Reserve has done something to an index in use")
	}
}

// checkTable checks an index of the first n entries that fakeEntries makes.
func checkTable(t *testing.T, x *table, n int) {
	t.Helper()
	if err := x.Check(); err != nil {
		t.Fatal(err)
	}
	if x.Len() != n {
		t.Fatalf("%d entries, want %d", x.Len(), n)
	}
}
