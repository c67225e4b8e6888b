package resp

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func TestParseInt(t *testing.T) {
	for _, s := range []string{"0", "1", "9", "10", "-1", "-9", "123456789", "9223372036854775807",
		"-9223372036854775808"} {
		want, _ := strconv.ParseInt(s, 10, 64)
		if n, ok := ParseInt([]byte(s)); !ok || n != want {
			t.Errorf("ParseInt(%q) = %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{
		"", "-", "+1", "-0", "00", "01", "-01", " 1", "1 ", "1.0", "1e3", "0x1", "a", "1a", "1\x00", "--1",
		"9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"99999999999999999999", "-99999999999999999999", "100000000000000000000",
	} {
		if n, ok := ParseInt([]byte(s)); ok {
			t.Errorf("ParseInt(%q) = %d", s, n)
		}
	}
}

// The one way of writing a number: what parses is what is printed again.
func FuzzParseInt(f *testing.F) {
	for _, s := range []string{"0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "01"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := ParseInt(b)
		want, err := strconv.ParseInt(string(b), 10, 64)
		if wantOK := err == nil && strconv.FormatInt(want, 10) == string(b); ok != wantOK || ok && n != want {
			t.Fatalf("ParseInt(%q) = %d, %v; want %d, %v", b, n, ok, want, wantOK)
		}
	})
}

// floats are numbers and what ZADD followed by ZSCORE of redis-server 7.0.15 makes of them; "" where ZADD refuses.
var floats = []struct{ in, want string }{
	{"1", "1"}, {"1.", "1"}, {".5", "0.5"}, {"-.5e+3", "-500"}, {"+1", "1"}, {"3.0e003", "3000"}, {"1E5", "100000"},
	{"0x1", "1"}, {"0x1p3", "8"}, {"0X1P-3", "0.125"}, {"0x.8", "0.5"}, {"0x1e3", "483"},
	{"inf", "inf"}, {"+inf", "inf"}, {"-Infinity", "-inf"}, {"INFINITY", "inf"},
	{"0e-400", "0"}, {"0x0p-99999", "0"}, {"0e99999999999999999999", "0"},
	{"1e-320", "9.9998886718268301e-321"}, {"4e-324", "4.9406564584124654e-324"},
	{"2.5e-324", "4.9406564584124654e-324"},
	{"0x1.8p-1075", "4.9406564584124654e-324"}, {"1.7976931348623158e308", "1.7976931348623157e+308"},
	{"123456789012345678", "1.2345678901234568e+17"}, {"1e17", "1e+17"}, {"1e16", "10000000000000000"},
	{"99999999999999999", "1e+17"}, {"0.1", "0.10000000000000001"}, {"3.1", "3.1000000000000001"}, {"1e21", "1e+21"},
	{"1e-5", "1.0000000000000001e-05"}, {"0.0001", "0.0001"}, {"4503599627370496", "4503599627370496"},
	{"9007199254740993", "9007199254740992"}, {"9223372036854775807", "9.2233720368547758e+18"},

	{"", ""}, {".", ""}, {"1e", ""}, {"1e+", ""}, {"++1", ""}, {" 1", ""}, {"1 ", ""}, {"\v1", ""}, {"0x", ""},
	{"0x.", ""},
	{"0xp1", ""}, {"infin", ""}, {"nan", ""}, {"-nan", ""}, {"nan(1)", ""}, {"1e400", ""}, {"-1e400", ""},
	{"1e-400", ""},
	{"2e-324", ""}, {"1_000", ""}, {"0x1_0", ""}, {"1e1_0", ""}, {"0b1", ""}, {"0o7", ""}, {"1\x00", ""},
	{"1e99999999999999999999", ""},
	{"1e-99999999999999999999", ""}, {"0x1.fffffffffffff8p1023", ""}, {"1.7976931348623159e308", ""}, {"0x1p-1075", ""},
	{strings.Repeat("1", 400), ""}, {"0." + strings.Repeat("0", 400) + "1", ""}, {"1,5", ""}, {"1f", ""},
	{"0x1p", ""}, {"-", ""},
	{"1..2", ""}, {"e5", ""},
}

func TestParseFloatAndFormatDouble(t *testing.T) {
	for _, c := range floats {
		f, ok := ParseFloat([]byte(c.in))
		got := ""
		if ok {
			got = string(FormatDouble(nil, f))
		}
		if got != c.want {
			t.Errorf("%.40q: %q, want %q", c.in, got, c.want)
		}
	}
	if f, ok := ParseFloat([]byte("-0")); !ok || f != 0 || !math.Signbit(f) {
		t.Errorf("-0: %v, %v", f, ok)
	}
	if got := string(FormatDouble([]byte("x"), math.Copysign(0, -1))); got != "x-0" {
		t.Errorf("minus zero: %q", got)
	}
	if got := string(FormatDouble(nil, math.NaN())); got != "nan" {
		t.Errorf("NaN: %q", got)
	}
}

func TestFormatDoubleRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		f := math.Float64frombits(rnd.Uint64())
		if math.IsNaN(f) {
			continue
		}
		text := FormatDouble(nil, f)
		if back, ok := ParseFloat(text); !ok || back != f {
			t.Fatalf("%g is written %q and read as %g, %v", f, text, back, ok)
		}
		if want := strconv.FormatFloat(f, 'g', 17, 64); !math.IsInf(f, 0) && string(text) != want {
			t.Fatalf("%g is written %q, want %q", f, text, want)
		}
	}
}

func TestFormatHumanDouble(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 0.1: "0.10000000000000001", 1e-18: "0", -1e-18: "0",
		1e20:        "100000000000000000000",
		math.Inf(1): "inf", 13.361389338970184: "13.36138933897018433", // GEOPOS replies so
	} {
		if got := string(FormatHumanDouble([]byte("x"), f)); got != "x"+want {
			t.Errorf("%g: %q, want %q", f, got, want)
		}
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, c := range floats {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, ok := ParseFloat(b)
		if ok && math.IsNaN(v) {
			t.Fatalf("%q is NaN", b)
		}
		long, longOK := ParseLongDouble(b)
		if ok && !longOK && len(b) < maxLongDoubleChars {
			t.Fatalf("%q is a double but no long double", b)
		}
		if ok && longOK && math.Abs(v) > 1e-300 && !math.IsInf(v, 0) {
			// Rounded to 64 bits, then to 53: no more than one unit apart.
			if w := toFloat64(long); w != v && math.Nextafter(v, w) != w {
				t.Fatalf("%q is %g and, as a long double, %g", b, v, w)
			}
		}
	})
}

// The results of SET f a, INCRBYFLOAT f b in redis-server 7.0.15 on x86; "" for a number that is refused, "inf" where
// the result is. (Sixty thousand random pairs have been compared besides.)
func TestLongDouble(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"3.0", "1.1", "4.1"}, {"10.50", "0.1", "10.6"}, {"5.0e3", "2.0e2", "5200"}, {"0.1", "0.2", "0.3"},
		{"10500", "0.1", "10500.09999999999999964"}, {"1e17", "0.1", "100000000000000000.1015625"},
		{"9223372036854775807", "1", "9223372036854775808"}, {"18446744073709551615", "1", "18446744073709551616"},
		{"18446744073709551616", "1", "18446744073709551616"}, {"1e-17", "0", "0.00000000000000001"},
		{"5e-18", "0", "0"},
		{"4.9e-18", "0", "0"}, {"-1", "1", "0"}, {"-0.1", "0.1", "0"}, {"1", "-0.9999999999999999999", "0"},
		{"0x1.8p1", "1", "4"}, {"1e-4950", "1", "1"}, {"3.6e-4951", "1", "1"}, {"2", "-1e-30", "2"}, {"-0.0", "0", "0"},
		{"123456789012345678901234567890", "1e29", "223456789012345678897237458944"},
		{"1.00000000000000000000000000001", "0", "1"}, {"0.99999999999999999999999999999", "0", "1"},
		{"99999999999999999.9", "0.1", "100000000000000000"}, {"-0.00", "-328091169999697416", "-328091169999697416"},
		{"1e4932", "1e4932", "inf"}, {"1.18e4932", "1e4931", "inf"}, {"inf", "1", "inf"}, {"inf", "-inf", "inf"},
		{"1", "-inf", "inf"},
		{"-5", "-1e4933", ""}, {"1e-5000", "1", ""}, {"1.8e-4951", "1", ""}, {"nan", "1", ""}, {" 1", "1", ""},
		{"1", "1 ", ""},
		{"0", "1e999999999999", ""}, {"0", "0x1p99999999999", ""}, {"0", "0x1p-99999999999", ""},
		{strings.Repeat("1", 5120), "1", ""},
	} {
		a, ok := ParseLongDouble([]byte(c.a))
		b, ok2 := ParseLongDouble([]byte(c.b))
		got := ""
		if ok && ok2 {
			got = "inf"
			if sum := a.Add(b); sum.Finite() {
				got = string(FormatLongDouble(nil, sum))
			}
		}
		if got != c.want {
			t.Errorf("%.40s + %s = %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

// The integer paths give what math/big gives.
func TestLongDoubleAgainstBig(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	number := func() string {
		s := strconv.FormatFloat(rnd.NormFloat64()*math.Pow(10, float64(rnd.IntN(30)-12)), 'f', rnd.IntN(12), 64)
		if rnd.IntN(4) == 0 {
			s = strconv.FormatInt(rnd.Int64()>>rnd.IntN(63), 10)
		}
		return s
	}
	for range 20_000 {
		a, b := number(), number()
		x, _ := ParseLongDouble([]byte(a))
		y, _ := ParseLongDouble([]byte(b))
		p, q := bigLong(a), bigLong(b)
		want := trimDecimals([]byte(p.Add(p, q).Text('f', 17)), 0)
		if got := FormatLongDouble(nil, x.Add(y)); string(got) != string(want) {
			t.Fatalf("%s + %s = %s, want %s", a, b, got, want)
		}
	}
}

func TestLongDoubleFromInt(t *testing.T) {
	for _, n := range []int64{0, 1, -1, 42, math.MaxInt64, math.MinInt64} {
		if got := string(FormatLongDouble(nil, LongDoubleFromInt(n))); got != strconv.FormatInt(n, 10) {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

func TestNumbersAllocateNothing(t *testing.T) {
	a, b, dst := []byte("10500.25"), []byte("0.1"), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		x, _ := ParseLongDouble(a)
		y, _ := ParseLongDouble(b)
		FormatLongDouble(dst, x.Add(y))
		f, _ := ParseFloat(a)
		FormatDouble(dst, f)
		ParseInt(a)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
