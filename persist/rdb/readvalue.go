package rdb

// decodable reports whether values of a type are decoded, not only skipped.
func decodable(rdbType byte) bool {
	_, ok := TypeOf(rdbType)
	return ok
}

// value decodes a value of a decodable type.
func (s *source) value(rdbType byte, b Builder) error {
	switch rdbType {
	case TypeString:
		return s.stringValue(b)
	case TypeList:
		return s.list(b)
	case TypeListZiplist:
		return s.listOf(b, ziplist)
	case TypeListQuicklist, TypeListQuicklist2:
		return s.quicklist(rdbType, b)
	case TypeSet:
		return s.set(b)
	case TypeSetIntset:
		return s.setOfInts(b)
	case TypeSetListpack:
		return s.setOf(b, listpack)
	case TypeZSet, TypeZSet2:
		return s.zset(rdbType, b)
	case TypeZSetZiplist:
		return s.zsetOf(rdbType, b, ziplist)
	case TypeZSetListpack:
		return s.zsetOf(rdbType, b, listpack)
	case TypeHash:
		return s.hash(b)
	case TypeHashMetadata, TypeHashMetadataPre:
		return s.expiringHash(rdbType, b)
	case TypeHashZipmap:
		return s.hashOfZipmap(b)
	case TypeHashZiplist:
		return s.hashOf(rdbType, b, ziplist)
	case TypeHashListpack:
		return s.hashOf(rdbType, b, listpack)
	case TypeHashListpackEx, TypeHashListpackExPre:
		return s.expiringHashOf(rdbType, b)
	case TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3:
		return s.stream(rdbType, b)
	}
	panic("BUG: rdb: value of a type that is not decoded")
}

// skipValue passes over a value.
func (s *source) skipValue(rdbType byte) error {
	switch rdbType {
	case TypeString, TypeListZiplist, TypeSetIntset, TypeSetListpack, TypeZSetZiplist, TypeZSetListpack,
		TypeHashZipmap, TypeHashZiplist, TypeHashListpack, TypeHashListpackExPre:
		return s.skipString()
	case TypeHashListpackEx:
		if err := s.skip(8); err != nil {
			return err
		}
		return s.skipString()
	case TypeList, TypeSet, TypeListQuicklist:
		n, err := s.length()
		if err != nil {
			return err
		}
		return s.skipStrings(n)
	case TypeListQuicklist2:
		return s.skipQuicklist2()
	case TypeZSet, TypeZSet2:
		return s.skipZSet(rdbType)
	case TypeHash:
		return s.skipHash()
	case TypeHashMetadata, TypeHashMetadataPre:
		return s.skipExpiringHash(rdbType)
	case TypeModule2:
		return s.skipModule()
	case TypeStreamListpacks, TypeStreamListpacks2, TypeStreamListpacks3:
		return s.skipStream(rdbType)
	}
	panic("BUG: rdb: value of no type")
}

// count reads how many elements a value has. It is errNoElements for none.
func (s *source) count() (uint64, error) {
	n, err := s.length()
	if err == nil && n == 0 {
		return 0, errNoElements
	}
	return n, err
}
