-- Headers that pass between client and model: those of SageMaker's API, and no others. A model that leans on another
-- one, or on the query string, would work here and not there.

local PASSING = {
  ["accept"] = true,
  ["content-length"] = true,
  ["content-type"] = true,
  ["date"] = true,
  ["server"] = true,
  ["transfer-encoding"] = true,
  ["x-amzn-errortype"] = true, -- the gateway's own, as the next two are: the routes set them over a model's
  ["x-amzn-invoked-production-variant"] = true,
  ["x-amzn-requestid"] = true,
  ["x-sagespec-model"] = true, -- the routes take a model's away
}

local function keep_passing(headers)
  local dropped = {} -- they may not be changed while they are walked through
  for name in pairs(headers) do
    if not PASSING[name] and string.sub(name, 1, 1) ~= ":" and string.sub(name, 1, 17) ~= "x-amzn-sagemaker-" then
      dropped[#dropped + 1] = name
    end
  end
  for _, name in ipairs(dropped) do
    headers:remove(name)
  end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = headers:get(":path")
  if not path then -- CONNECT has none
    handle:streamInfo():dynamicMetadata():set("sagespec", "refused", true)
    handle:respond({ [":status"] = "405", ["content-type"] = "application/json",
      ["x-amzn-errortype"] = "MethodNotAllowedException" }, '{"Message":"Predictions are asked for with POST."}')
    return
  end
  local query = string.find(path, "?", 1, true)
  if query then
    headers:replace(":path", string.sub(path, 1, query - 1))
  end
  headers:remove("x-sagespec-model") -- of answers alone
  handle:streamInfo():dynamicMetadata():set("sagespec", "request-id", headers:get("x-request-id")) -- of the answer
  keep_passing(headers)
end
