package load

import (
	"crypto/sha1"
	"encoding/hex"
)

// FlashSale is the script that shops run to sell: it takes an amount from a counter, as far as there is any, once for
// each token, and answers with what it took and what is left; who asks again gets the same answer. A negative amount is
// given back. Its keys are the counter and the token, its arguments the amount and the token's time to live in seconds.
const FlashSale = `
local seen = redis.call('GET', KEYS[2])
if seen then
  local got, left = string.match(seen, '^(%-?%d+) (%-?%d+)$')
  return {tonumber(got), tonumber(left)}
end
local left = tonumber(redis.call('GET', KEYS[1]) or '0')
local n = math.min(tonumber(ARGV[1]), left)
if n ~= 0 then
  left = redis.call('DECRBY', KEYS[1], n)
end
redis.call('SET', KEYS[2], n .. ' ' .. left, 'EX', ARGV[2])
return {n, left}
`

// SHA1 is a script's name for EVALSHA.
func SHA1(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}
