-- What a model answers with 400 or more becomes SageMaker's ModelError: 424, its status and body quoted.
-- Answers of the gateway itself carry an x-amzn-errortype by the time they come here; the routes take that
-- header away from models.

local QUOTED_BYTES = 4096

function envoy_on_response(handle)
  local status = handle:headers():get(":status")
  if status < "400" or handle:headers():get("x-amzn-errortype") then
    return
  end
  -- For the reply that Envoy makes should the body be too long to be held (see gateway_serving.py).
  handle:streamInfo():dynamicMetadata():set("sagespec", "status", tonumber(status))
  local body = handle:body(true)
  local original = body:length() > 0 and body:getBytes(0, body:length()) or ""
  local endpoint = handle:streamInfo():routeName()
  local message = string.format(
    'Received %s error (%s) from model with message "%s". See: sagespec logs endpoint/%s',
    status < "500" and "client" or "server", status, string.sub(original, 1, QUOTED_BYTES), endpoint)
  local answer = '{"Message":' .. json_text(message) .. ',"OriginalStatusCode":' .. status
    .. ',"OriginalMessage":' .. json_text(original)
    .. ',"LogStreamArn":"arn:aws:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/' .. endpoint .. '"}'
  body:setBytes(answer)
  local headers = handle:headers() -- those from before the body was waited for may not be touched any more
  headers:replace(":status", "424")
  headers:replace("content-length", tostring(#answer))
  headers:replace("content-type", "application/json")
  headers:replace("x-amzn-errortype", "ModelError")
  headers:remove("content-encoding")
end
