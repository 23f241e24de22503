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
  handle:respond(answer, '{"Message":' .. json_text(message) .. (more or "") .. "}")
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

  if reason == "too-long" then
    too_long(handle, route:get("member"), route:get("limit"))
  elseif operation ~= "invocations" then
    refuse(handle, 404, "UnknownOperationException",
      "There is nothing at " .. path .. "; predictions are at POST /endpoints/<name>/invocations.")
  elseif headers:get(":method") ~= "POST" then
    refuse(handle, 405, "MethodNotAllowedException", "Predictions are asked for with POST.")
  elseif reason == "unknown" then
    refuse(handle, 400, "ValidationError",
      "Endpoint " .. endpoint .. " of account " .. ACCOUNT .. " not found.", ',"ErrorCode":"NO_SUCH_ENDPOINT"')
  elseif headers:get("x-amzn-sagemaker-target-variant") then
    refuse(handle, 400, "ValidationError",
      "Variant " .. headers:get("x-amzn-sagemaker-target-variant") .. " of endpoint " .. endpoint .. " not found.")
  else
    refuse(handle, 503, "ServiceUnavailable", "Endpoint " .. endpoint .. " has no instance to answer yet.")
  end
end
