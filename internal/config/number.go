package config

import (
	"math"
	"strconv"
	"strings"
)

// parseInt reads a decimal number as strictly as Redis does: no blanks, no plus sign, no leading zeros.
func parseInt(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' || (digits[0] == '0' && s != "0") {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// ParseMemory reads a size in bytes as parameters have it.
func ParseMemory(text string) (bytes int64, ok bool) { return parseMemory(text) }

// parseMemory reads a size in bytes: digits and an optional unit b, k, kb, m, mb, g, gb in any case, where k is 1000
// and kb 1024 and so on. Unlike Redis it refuses sizes that do not fit 63 bits, and a unit without a number.
func parseMemory(s string) (bytes int64, ok bool) {
	if s == "" {
		return 0, true // to Redis nothing is no bytes
	}
	end := 0
	for end < len(s) && s[end] >= '0' && s[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(s[:end], 10, 64)
	if err != nil {
		return 0, false
	}
	unit, ok := memoryUnit(s[end:])
	if !ok || n > math.MaxInt64/unit {
		return 0, false
	}
	return n * unit, true
}

func memoryUnit(s string) (int64, bool) {
	switch strings.ToLower(s) {
	case "", "b":
		return 1, true
	case "k":
		return 1000, true
	case "kb":
		return 1 << 10, true
	case "m":
		return 1000 * 1000, true
	case "mb":
		return 1 << 20, true
	case "g":
		return 1000 * 1000 * 1000, true
	case "gb":
		return 1 << 30, true
	}
	return 0, false
}

// formatMemory writes a size as CONFIG REWRITE does: in the largest unit that divides it.
func formatMemory(bytes int64) string {
	switch {
	case bytes <= 0:
	case bytes%(1<<30) == 0:
		return strconv.FormatInt(bytes>>30, 10) + "gb"
	case bytes%(1<<20) == 0:
		return strconv.FormatInt(bytes>>20, 10) + "mb"
	case bytes%(1<<10) == 0:
		return strconv.FormatInt(bytes>>10, 10) + "kb"
	}
	return strconv.FormatInt(bytes, 10)
}
