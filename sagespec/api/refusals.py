"""How each service of AWS says that a signature is not good enough, with the way out."""

from __future__ import annotations

from sagespec.api.errors import ApiError
from sagespec.api.signature import SKEW, Flaw

_ENV = 'eval "$(sagespec env)"'
# By flaw: what services of JSON say, what those of the query protocol say, what S3 says. SDKs try again for minutes
# what is called AccessDeniedException, so nothing but S3 says so.
_CODES = {
    Flaw.MISSING: ("MissingAuthenticationTokenException", "MissingAuthenticationToken", "AccessDenied"),
    Flaw.MALFORMED: ("IncompleteSignatureException", "IncompleteSignature", "AuthorizationHeaderMalformed"),
    Flaw.UNKNOWN_KEY: ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"),
    Flaw.SKEWED: ("InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    Flaw.EXPIRED: ("ExpiredTokenException", "RequestExpired", "AccessDenied"),
    Flaw.WRONG: ("InvalidSignatureException", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
    Flaw.UNSIGNED_HEADER: ("InvalidSignatureException", "SignatureDoesNotMatch", "AccessDenied"),
    Flaw.ANOTHER_BODY: ("InvalidSignatureException", "SignatureDoesNotMatch", "XAmzContentSHA256Mismatch"),
}
_FIXES = {
    Flaw.SKEWED: f"set the clock right: it may be {int(SKEW.total_seconds() // 60)} minutes off",
    Flaw.EXPIRED: "make another link",
    Flaw.UNSIGNED_HEADER: "sign it, or leave it out",
    Flaw.ANOTHER_BODY: "send it again, unchanged",
}


def refused(flaw: Flaw, service: str, protocol_name: str) -> ApiError:
    fix = _FIXES.get(flaw, f"take the key of this project into the environment, and make the client there: {_ENV}")
    codes = _CODES[flaw]
    code = codes[2] if service == "s3" else codes[1] if protocol_name == "query" else codes[0]
    status = 400 if (service, flaw) == ("s3", Flaw.MALFORMED) else 403
    return ApiError(code, f"{flaw.value}; {fix}", status)
