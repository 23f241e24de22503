-- Requests that reach no model, answered in SageMaker's words. Only routes that refuse run this; the
-- reason is in the route's metadata. Those to an endpoint there is are counted under its name: anybody may make up others.

local ACCOUNT = "000000000000"

local function count(handle, path, kind)
  local endpoint = string.match(path, "^/endpoints/([^/]+)/")
  if endpoint then
    handle:stats():counter(endpoint .. "." .. kind):inc()
  end
end

local function refuse(handle, status, kind, message, more)
  local answer = {
    [":status"] = tostring(status),
    ["content-type"] = "application/json",
    ["x-amzn-errortype"] = kind,
    ["x-amzn-requestid"] = handle:headers():get("x-request-id"),
  }
  if status == 503 then
    answer["retry-after"] = "1" -- as in gateway_replies.py
  end
  handle:streamInfo():dynamicMetadata():set("sagespec", "refused", true) -- see gateway_replies.py
  handle:respond(answer, '{"Message":' .. json_text(message) .. (more or "") .. "}")
end

-- By the header that asks for one among several. The first is SageMaker's own answer.
local NO_TARGET = {
  ["target-model"] = { "is not a multi-model endpoint and does not support target model header.",
    "TARGET_MODEL_HEADER_NOT_SUPPORTED" },
  ["inference-component"] = { "has no inference components and does not support inference component header.",
    "INFERENCE_COMPONENT_HEADER_NOT_SUPPORTED" },
  ["target-container"] = { "is not a multi-container endpoint and does not support target container header.",
    "TARGET_CONTAINER_HEADER_NOT_SUPPORTED" },
}

-- Only this machine is meant, or one of the names in gateway.hosts; a page of another site that asks through its browser
-- shows as this.
local function foreign(handle, what, value)
  refuse(handle, 403, "AccessDeniedException", "The " .. what .. " " .. value .. " is not of this machine, and not among "
    .. "gateway.hosts in sagespec.yaml, the names that the gateway answers to besides.")
end

local function too_long(handle, member, limit)
  refuse(handle, 400, "ValidationError", "1 validation error detected: Value at '" .. member
    .. "' failed to satisfy constraint: Member must have length less than or equal to " .. limit)
end

-- What the callers of an endpoint say of its predictions goes into the access log (gateway_access_log.py), from which it
-- is collected. A line of the log holds it whole, so it is short.
local FEEDBACK_BYTES = 8192

local function take_feedback(handle)
  local body = handle:body(true)
  local text = body:length() <= FEEDBACK_BYTES and body:getBytes(0, body:length()) or nil
  if not text then
    return refuse(handle, 400, "ValidationError", "Feedback is limited to " .. FEEDBACK_BYTES .. " bytes a request.")
  end
  local lines = 0
  for line in string.gmatch(text, "[^\r\n]+") do
    if not string.find(line, '"groundTruthData"', 1, true) or not string.find(line, '"eventId"', 1, true) then
      return refuse(handle, 400, "ValidationError", "Each line must be a JSON object with groundTruthData and "
        .. "eventMetadata.eventId, as in SageMaker's ground truth files.")
    end
    lines = lines + 1
  end
  if lines == 0 then
    return refuse(handle, 400, "ValidationError", "There is no line of feedback in the body.")
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("sagespec", "feedback", text)
  metadata:set("sagespec", "refused", true) -- see gateway_replies.py
  handle:respond({ [":status"] = "202", ["content-type"] = "application/json",
    ["x-amzn-requestid"] = handle:headers():get("x-request-id") }, '{"Lines":' .. lines .. "}")
end

function envoy_on_request(handle)
  local headers, route = handle:headers(), handle:metadata()
  local reason = route:get("reason")
  local path = string.match(headers:get(":path"), "^[^?]*")
  local endpoint, operation = string.match(path, "^/endpoints/([^/]*)/([^/]+)$")

  if reason == "unavailable" and operation == "feedback" and headers:get(":method") == "POST" then
    return take_feedback(handle)
  end
  local is_prediction = operation == "invocations" and headers:get(":method") == "POST"
  local asks_for_variant = headers:get("x-amzn-sagemaker-target-variant")
  if reason == "unavailable" then -- a route of an endpoint's own
    count(handle, path, (is_prediction and not asks_for_variant) and "no_instance" or "client")
  end

  if reason == "host" then
    foreign(handle, "Host", headers:get(":authority"))
  elseif reason == "origin" then
    foreign(handle, "Origin", headers:get("origin"))
  elseif reason == "too-long" then
    too_long(handle, route:get("member"), route:get("limit"))
  elseif reason == "no-ascii" then
    refuse(handle, 400, "ValidationError", "1 validation error detected: Value at 'customAttributes' failed to satisfy "
      .. "constraint: Member must be of visible US-ASCII characters")
  elseif operation ~= "invocations" then
    refuse(handle, 404, "UnknownOperationException",
      "There is nothing at " .. path .. "; predictions are at POST /endpoints/<name>/invocations.")
  elseif headers:get(":method") ~= "POST" then
    refuse(handle, 405, "MethodNotAllowedException", "Predictions are asked for with POST.")
  elseif reason == "unknown" then
    refuse(handle, 400, "ValidationError",
      "Endpoint " .. endpoint .. " of account " .. ACCOUNT .. " not found.", ',"ErrorCode":"NO_SUCH_ENDPOINT"')
  elseif reason == "no-target" then
    local target = NO_TARGET[route:get("header")]
    refuse(handle, 400, "ValidationError", "Endpoint " .. endpoint .. " " .. target[1],
      ',"ErrorCode":"' .. target[2] .. '"')
  elseif asks_for_variant then
    refuse(handle, 400, "ValidationError",
      "Variant " .. asks_for_variant .. " of endpoint " .. endpoint .. " not found.")
  else
    refuse(handle, 503, "ServiceUnavailable", "Endpoint " .. endpoint .. " has no instance to answer yet.")
  end
end
