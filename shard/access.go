package shard

import "fulmen/shard/ds/index"

// EvictionPolicy says which keys are deleted when memory runs short. The numbers are those of the words of the
// parameter maxmemory-policy.
type EvictionPolicy uint8

// The policies. Volatile ones choose among keys that have an expiry.
const (
	VolatileLRU EvictionPolicy = iota
	VolatileLFU
	VolatileRandom
	VolatileTTL
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	NoEviction
)

var policyNames = [...]string{"volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
	"allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction"}

// String is the policy's name in the configuration.
func (p EvictionPolicy) String() string { return policyNames[p] }

// LFU tells whether the access clocks of entries count uses instead of telling the last one.
func (p EvictionPolicy) LFU() bool { return p == VolatileLFU || p == AllKeysLFU }

// LRU tells whether the policy chooses by the time of the last use.
func (p EvictionPolicy) LRU() bool { return p == VolatileLRU || p == AllKeysLRU }

// Volatile tells whether the policy chooses among keys with an expiry only.
func (p EvictionPolicy) Volatile() bool { return p <= VolatileTTL }

// ranked tells whether some keys are better candidates than others.
func (p EvictionPolicy) ranked() bool {
	return p != VolatileRandom && p != AllKeysRandom && p != NoEviction
}

// EvictionParams are the parameters of eviction; immutable, replaced as a whole.
type EvictionParams struct {
	LimitBytes      int64 // maxmemory, 0: none
	Policy          EvictionPolicy
	Samples         int   // entries looked at for a victim: maxmemory-samples
	LFULogFactor    int64 // lfu-log-factor
	LFUDecayMinutes int64 // lfu-decay-time, 0: never
}

// The access clock is the 24-bit field of an entry that eviction chooses by. With an LRU policy, or none, it is the
// time of the last use in seconds modulo 2^24 (194 days); with an LFU policy, the time of the last use in minutes
// modulo 2^16, and below it a logarithmic counter of uses that decays with time. When the policy changes the fields
// keep what they have, and it takes some uses until they are right again, as in Redis.
//
// One word of the Set has the present moment as either form needs it, so that a use costs one load and, once a second
// per entry, one store to a line that has been read already. (Reading the moment from the caller's clock was tried
// first: it would have to pass through every change.)
const (
	clockMask  = 1<<24 - 1
	lfuClock   = 1 << 32 // in Set.access: the policy is an LFU one
	lfuInitial = 5       // uses that a new key is taken to have had
)

// Tick tells the access clocks the time. Whoever begins a batch of commands calls it; safe from any goroutine.
func (set *Set) Tick(nowMs int64) {
	var now uint64
	if set.Eviction().Policy.LFU() {
		now = lfuClock | uint64(nowMs/60_000)&0xFFFF<<8
	} else {
		now = uint64(nowMs/1000) & clockMask
	}
	if set.access.Load() != now {
		set.access.Store(now)
	}
}

// SetEviction replaces the parameters of eviction. Safe from any goroutine.
func (set *Set) SetEviction(p EvictionParams) {
	set.eviction.Store(&p)
	set.Tick(set.Clock.NowMs())
}

// Eviction returns the parameters of eviction.
func (set *Set) Eviction() *EvictionParams { return set.eviction.Load() }

// Quiet has lookups in the shard leave access clocks alone, or no longer; with the baton held. For the commands of a
// session that said CLIENT NO-TOUCH.
func (s *Shard) Quiet(on bool) { s.quiet = on }

// Touch notes that an entry was used.
func (s *Shard) Touch(e index.Entry) {
	if s.quiet {
		return
	}
	now := s.set.access.Load()
	if now&lfuClock != 0 {
		s.touchLFU(e, uint32(now))
	} else if e.Access() != uint32(now) {
		e.SetAccess(uint32(now))
	}
}

// touchLFU lets the counter decay and counts one use: the higher it is, the less likely it grows.
func (s *Shard) touchLFU(e index.Entry, now uint32) {
	p := s.set.Eviction()
	n := p.frequency(e.Access(), now)
	if n < 255 {
		s.random = s.random*6364136223846793005 + 1442695040888963407
		above := max(int64(n)-lfuInitial, 0)
		if above == 0 || float64(s.random>>11)*(float64(above)*float64(p.LFULogFactor)+1) < 1<<53 {
			n++
		}
	}
	if clock := now | n; clock != e.Access() {
		e.SetAccess(clock)
	}
}

// fresh is the access clock of a new entry.
func (s *Shard) fresh() uint32 {
	now := s.set.access.Load()
	if now&lfuClock != 0 {
		return uint32(now) | lfuInitial
	}
	return uint32(now)
}

// RestoredAccess returns the access clock for an entry that comes from a file or a DUMP: of a key that was idle for
// idleSeconds, where the policy is not an LFU one, or that has the counter freq of uses, where it is. What is unknown
// is below 0; if the one that is asked for is, the clock is that of a new key.
func (set *Set) RestoredAccess(idleSeconds int64, freq int) uint32 {
	now := set.access.Load()
	switch {
	case now&lfuClock != 0 && freq >= 0:
		return uint32(now) | uint32(min(freq, 255))
	case now&lfuClock != 0:
		return uint32(now) | lfuInitial
	case idleSeconds < 0:
		return uint32(now)
	case idleSeconds > int64(now):
		// Before the clock last came round: as Redis has it, as long ago as the clock can tell for sure.
		return uint32((now + clockMask/2) % clockMask)
	}
	return uint32(int64(now) - idleSeconds)
}

// renewed notes that an entry got a new value. With LRU that counts as a use in any case, with LFU as one if the
// command's session lets it count.
func (s *Shard) renewed(e index.Entry) {
	now := s.set.access.Load()
	if now&lfuClock == 0 {
		e.SetAccess(uint32(now))
	} else {
		s.Touch(e)
	}
}

// frequency returns the counter in an access clock after decay; now is the clock of the present moment.
func (p *EvictionParams) frequency(clock, now uint32) uint32 {
	n := clock & 0xFF
	if p.LFUDecayMinutes == 0 {
		return n
	}
	then, minute := clock>>8, now>>8&0xFFFF
	elapsed := minute - then
	if minute < then {
		elapsed = 0xFFFF - then + minute // it has come round once
	}
	if periods := int64(elapsed) / p.LFUDecayMinutes; periods < int64(n) {
		return n - uint32(periods)
	}
	return 0
}

// Frequency returns the counter of an entry's uses, decayed up to now; with an LFU policy.
func (s *Shard) Frequency(e index.Entry) int64 {
	return int64(s.set.Eviction().frequency(e.Access(), uint32(s.set.access.Load())))
}

// IdleSeconds returns the time since an entry's last use; with a policy other than LFU.
func (s *Shard) IdleSeconds(e index.Entry) int64 {
	return idleSeconds(e.Access(), uint32(s.set.access.Load()))
}

func idleSeconds(clock, now uint32) int64 {
	now &= clockMask
	if now < clock {
		return int64(now) + clockMask - int64(clock) // it has come round, as Redis counts it
	}
	return int64(now - clock)
}
