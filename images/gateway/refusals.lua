-- Requests that reach no model, answered in SageMaker's words. Only routes that refuse run this; the
-- reason is in the route's metadata.

local ACCOUNT = "000000000000"

local function refuse(handle, status, kind, message, more)
  local answer = {
    [":status"] = tostring(status),
    ["content-type"] = "application/json",
    ["x-amzn-errortype"] = kind,
    ["x-amzn-requestid"] = handle:headers():get("x-request-id"),
  }
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

-- Only this machine is meant, and a page of another site that asks through its browser shows as this.
local function foreign(handle, what, value)
  refuse(handle, 403, "AccessDeniedException", "The " .. what .. " " .. value .. " is not of this machine. The gateway "
    .. "answers only programs and pages of this machine as long as gateway.host in sagespec.yaml is a loopback address.")
end

local function too_long(handle, member, limit)
  refuse(handle, 400, "ValidationError", "1 validation error detected: Value at '" .. member
    .. "' failed to satisfy constraint: Member must have length less than or equal to " .. limit)
end

function envoy_on_request(handle)
  local headers, route = handle:headers(), handle:metadata()
  local reason = route:get("reason")
  local path = string.match(headers:get(":path"), "^[^?]*")
  local endpoint, operation = string.match(path, "^/endpoints/([^/]*)/([^/]+)$")

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
  elseif headers:get("x-amzn-sagemaker-target-variant") then
    refuse(handle, 400, "ValidationError",
      "Variant " .. headers:get("x-amzn-sagemaker-target-variant") .. " of endpoint " .. endpoint .. " not found.")
  else
    refuse(handle, 503, "ServiceUnavailable", "Endpoint " .. endpoint .. " has no instance to answer yet.")
  end
end
