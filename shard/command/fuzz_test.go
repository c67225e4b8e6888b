package command

import (
	"bytes"
	"testing"

	"fulmen/internal/resp"
)

// FuzzCommands executes arbitrary arguments, separated by line feeds in commands separated by empty lines: every
// handler must give exactly one well-formed reply, and an error must change nothing.
func FuzzCommands(f *testing.F) {
	for _, row := range NewTable(Rows()).Rows() {
		f.Add([]byte(row.Name))
		f.Add([]byte("SET\nk\n10\n\n" + row.Name + "\nk\n1\nEX\n\n" + row.Name + "\nk\n-1\nv\nNX\nk"))
	}
	f.Add([]byte("SET\nk\nv\nPXAT\n1\n\nSET\nk\nw\nKEEPTTL\nGET\n\nGETEX\nk\nPERSIST\n\nSCAN\n0\nMATCH\n*\nCOUNT\n5"))
	f.Add([]byte("SET\nk\nHYLL\x01" + string(make([]byte, 10)) + "\x80\x7f\xff\n\n" +
		"PFADD\nk\na\n\nPFCOUNT\nk\n\nPFMERGE\nk\nl\n\nPFDEBUG\nDECODE\nk"))
	f.Add([]byte("GEOADD\nk\n13\n38\na\n15\n37\nb\n\nGEOSEARCH\nk\nFROMMEMBER\na\nBYBOX\n9\n9\nkm\nCOUNT\n1\nANY\n\n" +
		"GEORADIUS\nk\n13\n38\n1e9\nm\nWITHDIST\nWITHCOORD\n\nGEOHASH\nk\na\nb\n\nGEODIST\nk\na\nb\nft"))
	f.Add([]byte("GEOSEARCHSTORE\nd\nk\nFROMLONLAT\n1\n1\nBYRADIUS\n1\nm\nSTOREDIST\n\n" +
		"GEORADIUSBYMEMBER\nk\na\n1\nm\nSTORE\nd\nSTOREDIST\ne"))
	f.Add([]byte("SET\nk\n9\n\nTAKE\nk\n4\nSTEP\n2\nPARTIAL\nTOKEN\nl\nEX\n9\n\nTAKE\nk\n-3\nTOKEN\nTOKEN\nPX\n1\n\n" +
		"TAKE\nk\n1\nEX\ntoken\nTOKEN\nl\n\nTAKE\nl\n1\nFLOOR\n-9223372036854775808\nCEILING\n9223372036854775807"))
	f.Add([]byte("COMMAND\nDOCS\nset\n\nCOMMAND\nGETKEYS\nMSET\na\nb\nc\n\nCOMMAND\nLIST\nFILTERBY\nPATTERN\n*"))
	f.Add([]byte("SADD\nk\n1\n\nSRANDMEMBER\nk\n-500000000\n\nGET\nk\n\nZADD\nz\n1\n1\n\nZRANDMEMBER\nz\n-500000000"))
	f.Add([]byte("XADD\ns\n1\nf\nv\n\nXGROUP\nCREATE\ns\ng\n0\n\nXREADGROUP\nGROUP\ng\nc\nSTREAMS\ns\nk\n>\n>\n\n" +
		"XDEL\ns\n1\n\nXAUTOCLAIM\ns\ng\nd\n0\n(0\nCOUNT\n9\n\nXINFO\nSTREAM\ns\nFULL\nCOUNT\n0\n\nXPENDING\ns\ng"))
	f.Add([]byte("XADD\ns\nMAXLEN\n~\n1\nLIMIT\n9\n18446744073709551615-*\nf\nv\n\nXSETID\ns\n9\nENTRIESADDED\n" +
		"9223372036854775807\n\nXREAD\nBLOCK\n0\nSTREAMS\ns\n$\n\nXTRIM\ns\nMINID\n~\n5\n\nXREVRANGE\ns\n(+\n-"))
	h := newHarness(f, 3)
	h.ctx.Limits = &Limits{MaxStringBytes: 100_000, ListFill: -2, HLLSparseMaxBytes: 100}
	h.ctx.ReplyLimit = 1 << 20 // a few bytes can ask for a reply of gigabytes
	f.Fuzz(func(t *testing.T, data []byte) {
		h.t = t
		for i, text := range bytes.Split(data, []byte("\n\n")) {
			args := bytes.Split(text, []byte("\n"))
			if i == 30 || len(args[0]) == 0 {
				break
			}
			h.ctx.Proto = 2 + len(data)%2
			before := h.dirty()
			reply := h.call(args)
			if h.ctx.Overflow { // the session ends without it
				h.ctx.Overflow = false
				continue
			}
			in := bytes.NewReader(reply)
			reader := resp.NewReader(in)
			v, err := reader.ReadReply()
			if err != nil {
				t.Fatalf("%q: reply %q: %v", args, reply, err)
			}
			if !bytes.Equal(v.Append(nil), reply) {
				t.Fatalf("%q: reply %q is more than one", args, reply)
			}
			if v.Err() != nil && h.dirty() != before {
				t.Fatalf("%q fails with %v and counts changes", args, v.Err())
			}
		}
		h.call([][]byte{[]byte("FLUSHALL")})
	})
}

func (h *harness) dirty() (n int64) {
	for _, s := range h.set.Shards {
		n += s.Stats.Dirty
	}
	return n
}
