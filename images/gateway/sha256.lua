-- SHA-256 of short texts (FIPS 180-4), with LuaJIT's 32-bit operations. Put in front of door.lua.

local bit = require("bit")
local band, bor, bxor, bnot, ror, shr, tobit = bit.band, bit.bor, bit.bxor, bit.bnot, bit.ror, bit.rshift, bit.tobit

-- The first 32 bits of the fractions of roots of the first primes.
local SQUARE_ROOTS, CUBE_ROOTS = {}, {}
do
  local function first_bits(root)
    return tobit(math.floor((root % 1) * 2 ^ 32))
  end
  local number = 2
  while #CUBE_ROOTS < 64 do
    local is_prime = true
    for divisor = 2, math.floor(math.sqrt(number)) do
      is_prime = is_prime and number % divisor ~= 0
    end
    if is_prime then
      CUBE_ROOTS[#CUBE_ROOTS + 1] = first_bits(number ^ (1 / 3))
      SQUARE_ROOTS[#SQUARE_ROOTS + 1] = first_bits(math.sqrt(number))
    end
    number = number + 1
  end
end

local function add_block(state, text, at)
  local words = {}
  for i = 1, 16 do
    local a, b, c, d = string.byte(text, at + 4 * i - 4, at + 4 * i - 1)
    words[i] = bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
  end
  for i = 17, 64 do
    local early, late = words[i - 15], words[i - 2]
    words[i] = tobit(words[i - 16] + bxor(ror(early, 7), ror(early, 18), shr(early, 3))
      + words[i - 7] + bxor(ror(late, 17), ror(late, 19), shr(late, 10)))
  end
  local a, b, c, d, e, f, g, h = unpack(state)
  for i = 1, 64 do
    local one = h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + CUBE_ROOTS[i] + words[i]
    local two = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
    h, g, f, e, d, c, b, a = g, f, e, tobit(d + one), c, b, a, tobit(one + two)
  end
  for i, value in ipairs({ a, b, c, d, e, f, g, h }) do
    state[i] = tobit(state[i] + value)
  end
end

-- In hexadecimal digits.
local function sha256(text)
  local bits = 8 * #text
  text = text .. "\128" .. string.rep("\0", (55 - #text) % 64 + 4)
    .. string.char(band(shr(bits, 24), 255), band(shr(bits, 16), 255), band(shr(bits, 8), 255), band(bits, 255))
  local state = { unpack(SQUARE_ROOTS, 1, 8) }
  for at = 1, #text, 64 do
    add_block(state, text, at)
  end
  for i, word in ipairs(state) do
    state[i] = bit.tohex(word)
  end
  return table.concat(state)
end
