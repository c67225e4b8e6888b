package replica

import (
	"fmt"
	"strconv"
	"strings"
)

// Flows: a full sync between two Fulmen servers. The data comes on connections of their own, each of which brings an
// RDB file of some of the primary's shards, while the stream from the cut on comes on the connection that has asked
// for it. On the wire this is
//
//	replica  REPLCONF … capa fulmen-flows=1,<at most so many>[,lz4]
//	primary  +FULLRESYNC <id> <offset> fulmen-flows=1,<so many>,<token>[,lz4]
//	         and the stream behind that offset
//
// and on each of the others, once it is authenticated,
//
//	replica  REPLCONF fulmen-flow <token>:<index>
//	primary  +FLOW <index> <id> <offset>
//	         $EOF:<mark>, an RDB file or an LZ4 frame of one, and the mark
//
// The 1 is the version of all this. Whoever doesn't know the capability passes over it.

// flowCapa begins a word that is about flows.
const flowCapa = "fulmen-flows=1,"

// MaxFlows is how many flows a replica may ask for.
const MaxFlows = 64

// FlowRequest is what a replica asks for before it asks for the data.
type FlowRequest struct {
	Number int // of flows, at most; 0: none
	LZ4    bool
}

// capa is the request as a capability.
func (r FlowRequest) capa() string { return flowCapa + strconv.Itoa(r.Number) + lz4Word(r.LZ4) }

func lz4Word(on bool) string {
	if on {
		return ",lz4"
	}
	return ""
}

// ParseFlowRequest reads a capability that a replica has told; false: it is not this one.
func ParseFlowRequest(capa string) (FlowRequest, bool) {
	words, ok := flowWords(capa, 1)
	if !ok {
		return FlowRequest{}, false
	}
	n, ok := readNumber(words[0])
	if !ok || n < 1 {
		return FlowRequest{}, false
	}
	return FlowRequest{Number: int(min(n, MaxFlows)), LZ4: len(words) > 1}, true
}

// flowWords splits what is about flows into n words and, perhaps, lz4.
func flowWords(text string, n int) ([]string, bool) {
	list, ok := strings.CutPrefix(text, flowCapa)
	words := strings.Split(list, ",")
	return words, ok && (len(words) == n || len(words) == n+1 && words[n] == "lz4")
}

// FlowOffer is what a primary answers a request with.
type FlowOffer struct {
	Number int    // of flows; 0: the data comes as any replica gets it
	Token  string // shows that who opens a flow is who was offered it
	LZ4    bool
}

// String gives the offer as a word of an answer.
func (o FlowOffer) String() string {
	return fmt.Sprintf("%s%d,%s%s", flowCapa, o.Number, o.Token, lz4Word(o.LZ4))
}

// parseFlowOffer reads the word of an answer.
func parseFlowOffer(word string) (FlowOffer, bool) {
	words, ok := flowWords(word, 2)
	if !ok || !validID(words[1]) {
		return FlowOffer{}, false
	}
	n, ok := readNumber(words[0])
	if !ok || n < 1 || n > MaxFlows {
		return FlowOffer{}, false
	}
	return FlowOffer{Number: int(n), Token: words[1], LZ4: len(words) > 2}, true
}

// FlowHello is what a primary says on a flow before the data, which mark ends.
func FlowHello(index int, id string, offset uint64, mark string) string {
	return fmt.Sprintf("+FLOW %d %s %d\r\n$EOF:%s\r\n", index, id, offset, mark)
}

// FlowName is what a replica names a flow by, as the value of REPLCONF fulmen-flow.
func FlowName(token string, index int) string { return token + ":" + strconv.Itoa(index) }

// ParseFlowName reads what FlowName gives; false: it is nothing of the kind.
func ParseFlowName(name string) (token string, index int, ok bool) {
	token, digits, _ := strings.Cut(name, ":")
	n, ok := readNumber(digits)
	if !ok || n >= MaxFlows {
		return "", 0, false
	}
	return token, int(n), true
}

// OpenFlow opens one of the flows that a primary has offered with a full answer; the link is there for that. The
// Transfer is at the beginning of the data.
func (l *Link) OpenFlow(index int, a Answer) (*Transfer, error) {
	if err := l.greet(); err != nil {
		return nil, err
	}
	reply, err := l.ask("REPLCONF", "fulmen-flow", FlowName(a.Flows.Token, index))
	if err != nil {
		return nil, err
	}
	if want := fmt.Sprintf("+FLOW %d %s %d", index, a.ID, a.Offset); reply != want {
		return nil, fmt.Errorf("flow %d of a synchronization: the primary says %.128q, not %q", index, reply, want)
	}
	t, err := l.Expect()
	if err == nil && t.SizeBytes >= 0 {
		err = fmt.Errorf("flow %d of a synchronization has no mark at its end", index)
	}
	return t, err
}
