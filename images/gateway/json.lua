-- JSON texts from bytes of any origin. Put in front of the other scripts; Envoy's Lua brings no JSON.

local function escaped(character)
  return string.format("\\u%04x", string.byte(character))
end

-- What is not UTF-8 becomes U+FFFD, byte by byte: a model may answer with anything.
local function only_utf8(bytes)
  local kept, at = {}, 1
  while at <= #bytes do
    local first = string.byte(bytes, at)
    local length = first >= 0xF0 and first <= 0xF4 and 4 or first >= 0xE0 and first < 0xF0 and 3
      or first >= 0xC2 and first < 0xE0 and 2 or 1
    local character = string.sub(bytes, at, at + length - 1)
    local second = string.byte(character, 2)
    local whole = length > 1 and string.find(character, "^.[\128-\191]+$") and #character == length
      -- overlong forms, surrogates and what lies beyond U+10FFFF
      and not (first == 0xE0 and second < 0xA0 or first == 0xED and second > 0x9F
        or first == 0xF0 and second < 0x90 or first == 0xF4 and second > 0x8F)
    kept[#kept + 1] = whole and character or "\239\191\189"
    at = at + (whole and length or 1)
  end
  return table.concat(kept)
end

local function json_text(bytes)
  local text = string.gsub(bytes, '[%z\1-\31"\\\127]', escaped)
  return '"' .. string.gsub(text, "[\128-\255]+", only_utf8) .. '"'
end
