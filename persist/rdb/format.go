package rdb

// The versions of the format.
const (
	// MaxVersion is the highest version that is read. A file or a payload of a higher one is refused.
	MaxVersion = 12
	// Version7 is the version that Redis 7.0 writes and reads.
	Version7 = 10
	// Version8 is the version of Redis 7.4 and 8: the first in which fields of hashes have expiries.
	Version8 = 12

	// checksumVersion is the first version whose files end with a checksum.
	checksumVersion = 5
)

// magic begins every file; four digits of the version follow.
const (
	magic     = "REDIS"
	headerLen = len(magic) + 4
)

// Opcodes: the first byte of every part of a file that is no key, and of what stands before a key.
const (
	opSlotInfo     = 244 // of a cluster's slot: its number, its keys, its expiring keys
	opFunction2    = 245 // a library of functions
	opFunctionPre  = 246 // the same in release candidates of 7.0
	opModuleAux    = 247 // a module's data beside the keyspace
	opIdle         = 248 // seconds since the key's last use
	opFreq         = 249 // logarithmic counter of the key's use
	opAux          = 250
	opResizeDB     = 251
	opExpireTimeMs = 252
	opExpireTime   = 253 // in seconds
	opSelectDB     = 254
	opEOF          = 255
)

// The types of values. Their numbers are those of the format.
const (
	TypeString            = 0
	TypeList              = 1
	TypeSet               = 2
	TypeZSet              = 3 // scores as text
	TypeHash              = 4
	TypeZSet2             = 5 // scores as binary doubles
	TypeModulePre         = 6 // cannot even be skipped: its length is known to the module only
	TypeModule2           = 7
	TypeHashZipmap        = 9
	TypeListZiplist       = 10
	TypeSetIntset         = 11
	TypeZSetZiplist       = 12
	TypeHashZiplist       = 13
	TypeListQuicklist     = 14 // of ziplists
	TypeStreamListpacks   = 15
	TypeHashListpack      = 16
	TypeZSetListpack      = 17
	TypeListQuicklist2    = 18 // of listpacks
	TypeStreamListpacks2  = 19 // with the first entry's ID and what was deleted
	TypeSetListpack       = 20
	TypeStreamListpacks3  = 21 // with the consumers' time of activity
	TypeHashMetadataPre   = 22 // fields with expiries, in release candidates of 7.4
	TypeHashListpackExPre = 23
	TypeHashMetadata      = 24 // fields with expiries
	TypeHashListpackEx    = 25
)

// Lengths: the first byte, or the high two bits of it.
const (
	len6Bits  = 0x00
	len14Bits = 0x40
	len32Bits = 0x80
	len64Bits = 0x81
	lenString = 0xC0 // no length: the low six bits are a special form of a string
	lenMask   = 0xC0
)

// Special forms of strings.
const (
	stringInt8  = 0
	stringInt16 = 1
	stringInt32 = 2
	stringLZF   = 3
)

// Scores as text: what stands in place of their length.
const (
	scoreNaN    = 253
	scorePosInf = 254
	scoreNegInf = 255
)

// What the nodes of a quicklist of listpacks are.
const (
	nodePlain  = 1 // one element
	nodePacked = 2 // a listpack
)

// dumpFooter is the length of what follows the value in a DUMP payload: version and checksum.
const dumpFooter = 2 + 8

// maxFieldExpiry is the highest expiry of a hash's field, Unix time in ms.
const maxFieldExpiry = 1<<48 - 1
