//go:build !amd64

package crc

const canFold = false

func fold64(*[16]byte, []byte, uint64, *[4]uint64) {
	panic("BUG: crc: fold64 without the instructions")
}
