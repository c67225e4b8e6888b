package rdb

import (
	"fmt"

	"fulmen/shard/ds/stream"
	"fulmen/shard/object"
)

// A stream; an ID is two lengths, ms and sequence, except where it is said to be raw: 16 bytes, big-endian.
//
//	n × (first ID of the listpack: string of 16 bytes; listpack of entries: string)
//	<entries: length> <last ID>
//	from type STREAM_LISTPACKS_2 on: <first ID> <highest deleted ID> <entries ever added: length>
//	n × a consumer group:
//	    <name: string> <last delivered ID>
//	    from type STREAM_LISTPACKS_2 on: <entries read: length>
//	    n × pending entry: <raw ID> <delivered at, ms: 8 bytes> <deliveries: length>
//	    n × consumer: <name: string> <seen at, ms: 8 bytes>
//	        from type STREAM_LISTPACKS_3 on: <active at, ms: 8 bytes>
//	        n × pending entry: <raw ID>
const rawIDLen = stream.RawLen

// stream decodes a stream.
func (s *source) stream(rdbType byte, b Builder) error {
	if err := b.Begin(Form{Type: object.Stream, RDBType: rdbType}); err != nil {
		return err
	}
	nodes, err := s.length()
	if err != nil {
		return err
	}
	var in object.StreamInfo
	var last stream.ID
	for i := range nodes {
		if last, err = s.streamNode(b, &in, last, i == 0); err != nil {
			return err
		}
	}
	if err := s.streamInfo(rdbType, &in); err != nil {
		return err
	}
	if err := b.StreamInfo(&in); err != nil {
		return err
	}
	groups, err := s.length()
	if err != nil {
		return err
	}
	for range groups {
		if err := s.group(rdbType, &in, b); err != nil {
			return err
		}
	}
	return nil
}

// streamNode decodes a node, whose IDs must be above last unless it is the first, counts its entries, and returns the
// highest ID.
func (s *source) streamNode(b Builder, in *object.StreamInfo, last stream.ID, first bool) (stream.ID, error) {
	at := s.offset()
	raw, err := s.string()
	if err != nil {
		return last, err
	}
	if len(raw) != rawIDLen {
		return last, s.corrupt(at, fmt.Sprintf("an ID of %d bytes", len(raw)))
	}
	id := stream.RawID(raw)
	at = s.offset()
	node, err := s.string()
	if err != nil {
		return last, err
	}
	f, err := stream.Check(node, id, last, first)
	if err != nil {
		return last, s.corrupt(at, err.Error())
	}
	if in.Length == 0 {
		in.FirstID = f.First
	}
	if last = id; f.Count > 0 {
		in.LastID, last = f.Last, f.Last
	}
	in.Length += uint64(f.Count)
	return last, b.StreamNode(id, node, &f)
}

// streamInfo decodes what follows the nodes. What is said of their number and of the first entry is known better.
func (s *source) streamInfo(rdbType byte, in *object.StreamInfo) error {
	var length uint64
	last := in.LastID // of an entry
	if err := s.lengths(&length, &in.LastID.Ms, &in.LastID.Seq); err != nil {
		return err
	}
	if in.LastID.Less(last) {
		in.LastID = last
	}
	in.Added = in.Length
	if rdbType < TypeStreamListpacks2 {
		return nil
	}
	var first stream.ID
	return s.lengths(&first.Ms, &first.Seq, &in.MaxDeleted.Ms, &in.MaxDeleted.Seq, &in.Added)
}

// group decodes a consumer group.
func (s *source) group(rdbType byte, in *object.StreamInfo, b Builder) error {
	at := s.offset()
	name, err := s.string()
	if err != nil {
		return err
	}
	name = s.hold(name)
	var last stream.ID
	if err := s.lengths(&last.Ms, &last.Seq); err != nil {
		return err
	}
	read := uint64(in.AddedUpTo(last))
	if rdbType >= TypeStreamListpacks2 {
		if read, err = s.length(); err != nil {
			return err
		}
	}
	if err := b.Group(name, last, int64(read)); err != nil {
		return err
	}
	pending, err := s.length()
	if err != nil {
		return err
	}
	for range pending {
		if err := s.pending(b); err != nil {
			return err
		}
	}
	consumers, err := s.length()
	if err != nil {
		return err
	}
	owned := uint64(0)
	for range consumers {
		n, err := s.consumer(rdbType, b)
		if err != nil {
			return err
		}
		owned += n
	}
	if owned != pending {
		return s.corrupt(at, fmt.Sprintf("%d entries are pending in a group, and %d for its consumers", pending, owned))
	}
	return nil
}

// pending decodes an entry that is pending in a group.
func (s *source) pending(b Builder) error {
	raw, err := s.bytes(rawIDLen)
	if err != nil {
		return err
	}
	id := stream.RawID(raw)
	deliveredMs, err := s.uint64()
	if err != nil {
		return err
	}
	deliveries, err := s.length()
	if err != nil {
		return err
	}
	return b.Pending(id, int64(deliveredMs), int64(deliveries))
}

// consumer decodes a consumer and returns how many entries are pending for it.
func (s *source) consumer(rdbType byte, b Builder) (pending uint64, err error) {
	name, err := s.string()
	if err != nil {
		return 0, err
	}
	name = s.hold(name)
	seenMs, err := s.uint64()
	if err != nil {
		return 0, err
	}
	if rdbType >= TypeStreamListpacks3 { // when it got something last, which is not kept
		if _, err = s.uint64(); err != nil {
			return 0, err
		}
	}
	if err := b.Consumer(name, int64(seenMs)); err != nil {
		return 0, err
	}
	if pending, err = s.length(); err != nil {
		return 0, err
	}
	for range pending {
		raw, err := s.bytes(rawIDLen)
		if err == nil {
			err = b.Owned(stream.RawID(raw))
		}
		if err != nil {
			return 0, err
		}
	}
	return pending, nil
}

// skipStream passes over a stream.
func (s *source) skipStream(rdbType byte) error {
	nodes, err := s.length()
	if err != nil {
		return err
	}
	for range nodes {
		if err := s.skipStrings(2); err != nil {
			return err
		}
	}
	facts := 1 + 2
	if rdbType >= TypeStreamListpacks2 {
		facts += 2 + 2 + 1
	}
	if err := s.skipLengths(facts); err != nil {
		return err
	}
	groups, err := s.length()
	if err != nil {
		return err
	}
	for range groups {
		if err := s.skipGroup(rdbType); err != nil {
			return err
		}
	}
	return nil
}

// skipGroup passes over a consumer group.
func (s *source) skipGroup(rdbType byte) error {
	if err := s.skipString(); err != nil {
		return err
	}
	facts := 2
	if rdbType >= TypeStreamListpacks2 {
		facts++
	}
	if err := s.skipLengths(facts); err != nil {
		return err
	}
	pending, err := s.length()
	if err != nil {
		return err
	}
	for range pending {
		if err := s.skip(rawIDLen + 8); err != nil {
			return err
		}
		if err := s.skipLengths(1); err != nil {
			return err
		}
	}
	consumers, err := s.length()
	if err != nil {
		return err
	}
	for range consumers {
		if err := s.skipConsumer(rdbType); err != nil {
			return err
		}
	}
	return nil
}

// skipConsumer passes over a consumer.
func (s *source) skipConsumer(rdbType byte) error {
	if err := s.skipString(); err != nil {
		return err
	}
	times := uint64(8)
	if rdbType >= TypeStreamListpacks3 {
		times += 8
	}
	if err := s.skip(times); err != nil {
		return err
	}
	pending, err := s.length()
	if err != nil {
		return err
	}
	for range pending {
		if err := s.skip(rawIDLen); err != nil {
			return err
		}
	}
	return nil
}

// skipLengths passes over n lengths.
func (s *source) skipLengths(n int) error {
	for range n {
		if _, err := s.length(); err != nil {
			return err
		}
	}
	return nil
}
