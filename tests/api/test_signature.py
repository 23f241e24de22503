"""Who is let in: whoever signs with the project's key, now, and nothing else than what is sent."""

from __future__ import annotations

import http.client
import stat
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from sagespec.api.call import Call
from sagespec.api.key import Key
from sagespec.api.signature import Flaw, Signature, flaw_of, signature_of
from tests.planes import Plane

WRONG = {"aws_secret_access_key": "not-the-secret"}
UNKNOWN = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}


@pytest.mark.parametrize(
    ("service", "operation", "credentials", "code"),
    [
        ("sts", "get_caller_identity", WRONG, "SignatureDoesNotMatch"),
        ("sts", "get_caller_identity", UNKNOWN, "InvalidClientTokenId"),
        ("sagemaker", "list_models", WRONG, "InvalidSignatureException"),
        ("sagemaker", "list_models", UNKNOWN, "UnrecognizedClientException"),
        ("cloudwatch", "list_metrics", WRONG, "InvalidSignatureException"),
    ],
)
def test_another_key_is_refused_in_the_words_of_the_service(
    plane: Plane, service: str, operation: str, credentials: dict[str, str], code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(plane.client(service, **credentials), operation)()
    error = refused.value.response["Error"]
    assert error["Code"] == code
    assert 'eval "$(sagespec env)"' in error["Message"]
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_the_key_is_its_owners_alone_and_stays(plane: Plane) -> None:
    file = plane.root / ".sagespec" / "api.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(plane.key.secret) >= 40


KEY = Key("ASGSTEST", "a secret")
NOW = datetime(2026, 11, 30, 18, 0, tzinfo=UTC)


HERE = "127.0.0.1:8081"


def signed(
    body: bytes = b"{}",
    target: str = "/?b=2&a=%2F1",
    x_amz_target: str = "SageMaker.ListModels",
    *,
    host: str = HERE,
    service: str = "sagemaker",
    region: str = "us-east-1",
) -> Call:
    """A request as a client sends it at NOW. host: the one that it signs for, whichever it calls."""
    request = AWSRequest("POST", f"http://{HERE}{target}", {"Host": host, "X-Amz-Target": x_amz_target}, body)
    request.context["timestamp"] = f"{NOW:%Y%m%dT%H%M%SZ}"
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    signer = SigV4Auth(Credentials(KEY.access, KEY.secret), service, region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))  # type: ignore[attr-defined]
    request.headers.replace_header("Host", HERE)
    return received(request.headers, body, target)


def received(headers: object, body: bytes, target: str) -> Call:
    import io

    sent = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}  # type: ignore[attr-defined]
    return Call({"REQUEST_METHOD": "POST", "REQUEST_URI": target, "wsgi.input": io.BytesIO(body), **sent})


def flaw(call: Call, *, after: timedelta = timedelta()) -> Flaw | None:
    found = signature_of(call)
    assert isinstance(found, Signature)
    return flaw_of(found, call, KEY, now=NOW + after)


def test_what_was_signed_is_accepted() -> None:
    assert flaw(signed()) is None
    assert flaw(signed(b"")) is None
    assert flaw(signed(target="/a%20b//c/../d?x")) is None


@pytest.mark.parametrize(
    ("service", "region", "host", "found"),
    [
        ("sts", "us-east-1", "sts.us-east-1.amazonaws.com", None),
        ("sts", "us-east-1", "sts.amazonaws.com", None),
        ("sts", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn", None),
        ("iam", "us-east-1", "iam.amazonaws.com", None),
        ("sagemaker", "eu-central-1", "api.sagemaker.eu-central-1.amazonaws.com", None),
        ("sts", "us-east-1", "sts.eu-central-1.amazonaws.com", Flaw.WRONG),
        ("sts", "us-east-1", "iam.amazonaws.com", Flaw.WRONG),
        ("sts", "us-east-1", "sts.us-east-1.amazonaws.com.evil.example", Flaw.WRONG),
        ("sts", "us-east-1", "127.0.0.1:9999", Flaw.WRONG),
        ("elsewhere", "us-east-1", "elsewhere.us-east-1.amazonaws.com", Flaw.WRONG),
    ],
)
def test_the_host_that_was_signed_may_be_awss_own_name_of_the_service(
    service: str, region: str, host: str, found: Flaw | None
) -> None:
    call = signed(host=host, service=service, region=region)
    assert call.headers["host"] == HERE
    assert flaw(call) is found
    assert flaw(Call(call.environ | {"REQUEST_URI": "/another"})) is Flaw.WRONG


@pytest.mark.parametrize("changed", ["HTTP_X_AMZ_TARGET", "HTTP_HOST"])
def test_a_header_that_was_signed_may_not_change(changed: str) -> None:
    call = signed()
    assert flaw(call) is None
    assert flaw(Call(call.environ | {changed: "another"})) is Flaw.WRONG


def test_nor_may_the_path_the_query_or_the_body() -> None:
    import io

    environ = signed().environ
    for change in ({"REQUEST_URI": "/x?b=2&a=%2F1"}, {"REQUEST_URI": "/?b=2"}, {"wsgi.input": io.BytesIO(b"[]")}):
        assert flaw(Call(environ | change)) is Flaw.WRONG


@pytest.mark.parametrize(
    ("after", "found"),
    [(14, None), (-14, None), (16, Flaw.SKEWED), (-16, Flaw.SKEWED)],
)
def test_clocks_may_be_fifteen_minutes_apart(after: int, found: Flaw | None) -> None:
    assert flaw(signed(), after=timedelta(minutes=after)) is found


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic YTpi",
        "AWS AKIA:c2lnbmF0dXJl",
        "AWS4-HMAC-SHA256 Credential=a/20261130/us-east-1/s3/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/20261130/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=zz",
        "AWS4-ECDSA-P256-SHA256 Credential=a/20261130/s3/aws4_request, SignedHeaders=host, Signature=" + "0" * 64,
    ],
)
def test_what_is_no_signature_is_called_so(header: str) -> None:
    assert signature_of(received({"Host": "x", "Authorization": header}, b"", "/")) is Flaw.MALFORMED


def test_a_request_without_a_signature_is_refused(plane: Plane) -> None:
    status, text = ask(plane, {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"})
    assert status == 403
    assert "MissingAuthenticationTokenException" in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_pages_of_other_sites_are_refused(plane: Plane, headers: dict[str, str], status: int) -> None:
    found, text = ask(plane, headers)
    assert found == status
    assert "Traceback" not in text


def ask(plane: Plane, headers: dict[str, str], body: bytes = b"{}") -> tuple[int, str]:
    """Status and text of a bare request; no answer may let another site's page read it."""
    connection = http.client.HTTPConnection(urlsplit(plane.url).netloc, timeout=10)
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    return answer.status, text


def test_a_link_to_write_one_object_copies_no_other_into_it(plane: Plane) -> None:
    s3 = plane.client("s3", config=Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    s3.create_bucket(Bucket="acme")
    s3.put_object(Bucket="acme", Key="secret", Body=b"secret")
    link = urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": "acme", "Key": "given"}))

    def put(**headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(link.netloc, timeout=10)
        connection.request("PUT", f"{link.path}?{link.query}", b"mine", headers)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    status, text = put(**{"x-amz-copy-source": "/acme/secret"})
    assert (status, b"x-amz- is not signed" in text) == (403, True)
    assert put()[0] == 200
    assert s3.get_object(Bucket="acme", Key="given")["Body"].read() == b"mine"
