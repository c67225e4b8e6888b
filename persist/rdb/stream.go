package rdb

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
const rawIDLen = 16

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
