package crc

import (
	"hash/crc64"
	"math/rand/v2"
	"strings"
	"testing"
)

// sum16Bitwise is CRC-16/XMODEM by its definition.
func sum16Bitwise(p []byte) uint16 {
	var c uint16
	for _, b := range p {
		c ^= uint16(b) << 8
		for range 8 {
			carry := c&0x8000 != 0
			c <<= 1
			if carry {
				c ^= poly16
			}
		}
	}
	return c
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	return p
}

func TestCheckValues(t *testing.T) {
	if got := Sum16([]byte("123456789")); got != 0x31C3 {
		t.Errorf("Sum16 = %#x", got)
	}
	if got := Sum64([]byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("Sum64 = %#x", got)
	}
	if got := UpdateXZ(0, []byte("123456789")); got != 0x995dc9bbdf1939fa {
		t.Errorf("UpdateXZ = %#x", got)
	}
	if Sum16(nil) != 0 || Sum64(nil) != 0 || UpdateXZ(0, nil) != 0 {
		t.Error("the sum of nothing is not 0")
	}
}

func TestSum16AgainstDefinition(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 100 {
		for range 20 {
			p := randomBytes(rnd, n)
			if got, want := Sum16(p), sum16Bitwise(p); got != want {
				t.Fatalf("Sum16(%x) = %#x, want %#x", p, got, want)
			}
		}
	}
}

// TestSum64AgainstStandardLibrary: of all lengths around the steps, as a whole and in pieces, at any alignment.
func TestSum64AgainstStandardLibrary(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	redis, xz := crc64.MakeTable(polyRedis), crc64.MakeTable(crc64.ECMA)
	all := randomBytes(rnd, 70_000)
	for i := range 3000 {
		n := i
		if i > 2000 {
			n = rnd.IntN(len(all) - 64)
		}
		at := rnd.IntN(64)
		p := all[at : at+n]
		want, wantXZ := ^crc64.Update(^uint64(0), redis, p), crc64.Update(0, xz, p)
		if got := Sum64(p); got != want {
			t.Fatalf("Sum64 of %d bytes = %#x, want %#x", n, got, want)
		}
		if got := UpdateXZ(0, p); got != wantXZ {
			t.Fatalf("UpdateXZ of %d bytes = %#x, want %#x", n, got, wantXZ)
		}
		cut := rnd.IntN(n + 1)
		if got := Update64(Update64(0, p[:cut]), p[cut:]); got != want {
			t.Fatalf("%d bytes in two pieces %#x, want %#x", n, got, want)
		}
		if got := UpdateXZ(UpdateXZ(0, p[:cut]), p[cut:]); got != wantXZ {
			t.Fatalf("XZ: %d bytes in two pieces %#x, want %#x", n, got, wantXZ)
		}
	}
}

// TestSum64EveryBit: each bit of an input long enough to be folded counts.
func TestSum64EveryBit(t *testing.T) {
	p := randomBytes(rand.New(rand.NewPCG(7, 8)), foldFrom+100)
	good := Sum64(p)
	for i := range len(p) * 8 {
		p[i/8] ^= 1 << (i % 8)
		if Sum64(p) == good {
			t.Fatalf("bit %d doesn't count", i)
		}
		p[i/8] ^= 1 << (i % 8)
	}
}

func TestSlot(t *testing.T) {
	whole := func(s string) uint16 { return sum16Bitwise([]byte(s)) % Slots }
	for _, c := range []struct {
		key  string
		want uint16
	}{
		{"", 0},
		{"foo", 12182}, // CLUSTER KEYSLOT foo
		{"123456789", 12739},
		{"{user1000}.following", whole("user1000")},
		{"{user1000}.followers", whole("user1000")},
		{"foo{}{bar}", whole("foo{}{bar}")},
		{"foo{{bar}}zap", whole("{bar")},
		{"foo{bar}{zap}", whole("bar")},
		{"{}", whole("{}")},
		{"{", whole("{")},
		{"}{", whole("}{")},
		{"}{a}", whole("a")},
		{"abc{def", whole("abc{def")},
		{"{a}", whole("a")},
	} {
		if got := Slot([]byte(c.key)); got != c.want {
			t.Errorf("Slot(%q) = %d, want %d", c.key, got, c.want)
		}
	}
}

// slotByDefinition follows the text of the Redis Cluster specification.
func slotByDefinition(key string) uint16 {
	if _, tag, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(tag, "}"); ok && tag != "" {
			key = tag
		}
	}
	return sum16Bitwise([]byte(key)) % Slots
}

// The brace is found in every step of the sum: those of 8 bytes, of 4 and of 1.
func TestSlotBraceAnywhere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for n := 1; n < 40; n++ {
		for range 200 {
			key := randomBytes(rnd, n)
			for i := range key {
				key[i] = "ab{}|z\x7a\xfb"[int(key[i])%8]
			}
			if got, want := Slot(key), slotByDefinition(string(key)); got != want {
				t.Fatalf("Slot(%q) = %d, want %d", key, got, want)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	key, long := []byte("user:{1000}:following"), make([]byte, 4*foldFrom)
	if n := testing.AllocsPerRun(100, func() { Slot(key); Sum64(key); Sum64(long) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkSlot16(b *testing.B) {
	key := []byte("key:000000012345")
	var sum uint16
	for b.Loop() {
		sum += Slot(key)
	}
	_ = sum
}

func BenchmarkUpdate64(b *testing.B) {
	p := make([]byte, 4096)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		Update64(0, p)
	}
}
