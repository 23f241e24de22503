-- What a model answers with 400 or more becomes SageMaker's ModelError: 424, its status and body quoted.
-- Errors are counted here, by target: Envoy's own counters of them vanish when a target's instances change. What the
-- gateway answered in a model's place is counted by kind too: timeout, no_answer, no_instance,
-- overloaded, client. Where targets lend their shares to each other, requests and their times are counted here, too: by
-- who answered, which Envoy does not know before.

local QUOTED_BYTES = 4096

local function without_trailing_blanks(text)
  local last = #text
  while last > 0 and string.find(string.sub(text, last, last), "%s") do
    last = last - 1
  end
  return string.sub(text, 1, last)
end

-- Who is to be counted: the one that was asked, else the one that would have been.
local function count_lent(handle, target, asked, took, reason)
  local is_known = asked and asked ~= "" and asked ~= "-"
  target = is_known and asked or target
  if is_known or reason then
    handle:stats():counter(target .. ".sent"):inc()
  end
  if is_known and tonumber(took) then
    handle:stats():histogram(target .. ".took", "ms"):recordValue(tonumber(took))
  end
  return target
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local reason = headers:get("x-sagespec-error") -- of gateway_replies.py; believed below only where the answer is ours
  local retry_after = headers:get("retry-after") -- the same
  local asked = headers:get("x-sagespec-target") -- believed where one lends
  local took = asked and headers:get("x-sagespec-took")
  keep_passing(headers)
  local status = headers:get(":status")
  if status < "400" and not asked then
    return
  end
  local context = handle:filterContext()
  local target = context:get("target")
  if target and context:get("lends") then
    target = count_lent(handle, target, asked, took, reason)
  end
  if status < "400" then
    return
  end
  -- What the gateway itself answered has its type by now; the routes take that header away from models.
  local kind = headers:get("x-amzn-errortype")
  if kind and retry_after then
    headers:replace("retry-after", retry_after)
  end
  if kind and target then
    handle:stats():counter(target .. "." .. (reason or "client")):inc()
  end
  if kind and kind ~= "ModelError" and kind ~= "ServiceUnavailable" then
    headers:remove("x-amzn-invoked-production-variant") -- it reached none
    headers:remove("x-sagespec-model")
    return
  end
  if target then
    local class = kind and "5xx" or string.sub(status, 1, 1) .. "xx"
    handle:stats():counter(target .. "." .. class):inc()
  end
  if kind then
    return
  end
  -- For the reply that Envoy makes should the body be too long to be held (see gateway_serving.py).
  handle:streamInfo():dynamicMetadata():set("sagespec", "status", tonumber(status))
  local body = handle:body(true)
  local original = body:length() > 0 and body:getBytes(0, body:length()) or ""
  local endpoint = handle:streamInfo():routeName()
  local message = string.format(
    'Received %s error (%s) from model with message "%s". See: sagespec logs endpoint/%s',
    status < "500" and "client" or "server", status, without_trailing_blanks(string.sub(original, 1, QUOTED_BYTES)), endpoint)
  local answer = '{"Message":' .. json_text(message) .. ',"OriginalStatusCode":' .. status
    .. ',"OriginalMessage":' .. json_text(original)
    .. ',"LogStreamArn":"arn:aws:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/' .. endpoint .. '"}'
  body:setBytes(answer)
  headers = handle:headers() -- those from before the body was waited for may not be touched any more
  headers:replace(":status", "424")
  headers:replace("content-length", tostring(#answer))
  headers:replace("content-type", "application/json")
  headers:replace("x-amzn-errortype", "ModelError")
end
