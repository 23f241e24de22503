-- Who may ask: a caller's key, held against SHA-256 hashes of the keys that may. Runs before everything else, so that
-- whoever has no key gets one and the same answer, whatever they ask for. The route's filter context holds the name of
-- a caller by the hash of their key; `open` is in it where nobody needs one. By `caller NAME` and `endpoint NAME` it holds
-- after how many seconds another request may come.

local LONGEST_KEY = 200
local MOST_KNOWN = 1000

local known, count = {}, 0 -- hashes of good keys by the key, so that they are worked out once

local function hash_of(key, context)
  local hash = known[key]
  if hash then
    return hash
  end
  hash = sha256(key)
  if context:get(hash) then
    if count >= MOST_KNOWN then
      known, count = {}, 0
    end
    known[key], count = hash, count + 1
  end
  return hash
end

-- x-api-key; else a bearer token; else the access key id of AWS's clients. Two of a kind are none: programs on the way
-- may each look at another one.
local function key_in(headers)
  local name = headers:getNumValues("x-api-key") > 0 and "x-api-key" or "authorization"
  local value = headers:get(name)
  if not value or headers:getNumValues(name) ~= 1 then
    return nil
  end
  if name == "x-api-key" then
    return value
  end
  local scheme, rest = string.match(value, "^([%w-]+) +(.+)$")
  if not scheme then
    return nil
  elseif string.lower(scheme) == "bearer" then
    return rest
  elseif scheme == "AWS4-HMAC-SHA256" then
    return string.match(rest, "^Credential=([^, ]+)/%d%d%d%d%d%d%d%d/[%w-]+/[%w-]+/aws4_request *,")
  end
end

-- Either limit may be the one that refuses.
local function seconds_to_wait(context, caller, endpoint)
  local of_caller = caller and context:get("caller " .. caller) or "0"
  local of_endpoint = endpoint and context:get("endpoint " .. endpoint) or "0"
  return tonumber(of_caller) > tonumber(of_endpoint) and of_caller or of_endpoint
end

function envoy_on_request(handle)
  local headers, context = handle:headers(), handle:filterContext()
  local path = headers:get(":path") or ""
  local metadata = handle:streamInfo():dynamicMetadata()
  local endpoint = string.match(path, "^/endpoints/([^/?]+)/")
  local caller
  if path == "/ping" then
    return
  elseif not context:get("open") then
    local key = key_in(headers)
    caller = key and #key <= LONGEST_KEY and context:get(hash_of(key, context))
    if not caller then
      metadata:set("sagespec", "refused", true)
      handle:respond({ [":status"] = "403", ["content-type"] = "application/json",
        ["x-amzn-errortype"] = "AccessDeniedException", ["x-amzn-requestid"] = headers:get("x-request-id") },
        '{"Message":"The request has no key with which it may be made."}')
      return
    end
    metadata:set("sagespec", "caller", caller)
  end
  metadata:set("sagespec", "request-id", headers:get("x-request-id")) -- of the answer, if it is one too many
  metadata:set("sagespec", "wait", seconds_to_wait(context, caller, endpoint)) -- the same
  if endpoint then
    metadata:set("sagespec", "endpoint", endpoint)
  end
  headers:remove("x-api-key")
  headers:remove("authorization")
end
