package rdb

import "fulmen/shard/object"

// Source says what the value is made of, in the keyspace's words.
func (f Form) Source() object.Source {
	src := object.Source{Type: f.Type, Several: f.Several, N: f.N}
	switch f.RDBType {
	case TypeSetIntset:
		src.Container = object.Intset
	case TypeHashZiplist, TypeHashListpack, TypeHashListpackEx, TypeHashListpackExPre, TypeSetListpack, TypeZSetZiplist,
		TypeZSetListpack, TypeListZiplist, TypeListQuicklist, TypeListQuicklist2:
		src.Container = object.Listpack
	}
	switch f.RDBType {
	case TypeHashMetadata, TypeHashMetadataPre, TypeHashListpackEx, TypeHashListpackExPre:
		src.Expiring = true
	}
	return src
}
