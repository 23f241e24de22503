"""What S3 adds to the contract of a store: settings, refusals by name, servers without conditional writes."""

from __future__ import annotations

import http.server
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Conflict, Store, StoreAway
from sagespec.stores.s3 import S3Store
from tests.contracts.servers import S3Server, s3_server

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server("rclone") as server:
        yield server


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    running.activate(monkeypatch)
    return running


def _problem(store: Store) -> str:
    """What reading, writing and listing say in unison, but for the key."""
    said = set()
    for action in (lambda: store.read("key"), lambda: store.write("key", b"1"), lambda: store.entries()):
        with pytest.raises(WorldError) as caught:
            action()
        said.add(str(caught.value).replace("/key", ""))
    assert len(said) == 1, said
    return said.pop()


# -- refusals


def test_a_wrong_bucket_is_named(server: S3Server, tmp_path: Path) -> None:
    store = open_store("s3://acmme/models")
    (tmp_path / "file").write_bytes(b"1")

    assert _problem(store).splitlines() == [
        "s3://acmme/models: there is no bucket acmme",
        f"  why  {server.endpoint} says: The specified bucket does not exist",
        "  fix  check its name, or create it: aws s3 mb s3://acmme",
    ]
    with pytest.raises(WorldError, match="there is no bucket acmme"):
        store.download("key", tmp_path / "back")
    with pytest.raises(WorldError, match="there is no bucket acmme"):
        store.upload("key", tmp_path / "file")
    with pytest.raises(WorldError, match="there is no bucket acmme"):
        open_store("s3://acmme/models", create=False)


def test_a_wrong_key_and_a_wrong_secret_are_told_apart(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.activate(monkeypatch, AWS_ACCESS_KEY_ID="AKIASOMEBODYELSE")
    assert "the server does not know the access key" in _problem(open_store(server.uri))

    server.activate(monkeypatch, AWS_SECRET_ACCESS_KEY="wrong")
    assert "the secret key does not belong to the access key" in _problem(open_store(server.uri))


def test_a_wrong_key_is_named_by_a_download_too(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.activate(monkeypatch, AWS_ACCESS_KEY_ID="AKIASOMEBODYELSE")

    with pytest.raises(WorldError, match="the server does not know the access key"):
        open_store(server.uri).download("key", tmp_path / "back")


def test_missing_credentials_are_named(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    problem = _problem(open_store(server.uri))

    assert "no AWS credentials were found" in problem
    assert "fix  set AWS_ACCESS_KEY_ID" in problem


def test_an_unknown_profile_is_named(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "prod-eu")

    with pytest.raises(WorldError, match="prod-eu"):
        open_store(server.uri)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "http://", "ftp//x"])
def test_a_malformed_endpoint_is_named(server: S3Server, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    server.activate(monkeypatch, AWS_ENDPOINT_URL=endpoint)

    with pytest.raises(WorldError, match="endpoint"):
        open_store(server.uri).read("key")


@pytest.mark.parametrize("bucket", ["Acme Models", "a"])
def test_what_cannot_be_a_bucket_is_named(server: S3Server, bucket: str) -> None:
    with pytest.raises(WorldError, match=bucket):
        open_store(f"s3://{bucket}/models").read("key")


def test_a_server_that_does_not_run_is_named_soon(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(20 << 20))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    server.activate(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    begun = time.monotonic()

    with pytest.raises(WorldError) as caught:
        open_store(server.uri).read("key")
    with pytest.raises(WorldError, match="does not answer"):
        open_store(server.uri).upload("key", large)

    assert f"http://127.0.0.1:{port} does not answer" in str(caught.value)
    assert "fix  check the network and AWS_ENDPOINT_URL" in str(caught.value)
    assert time.monotonic() - begun < 15


@pytest.mark.slow
def test_a_network_that_swallows_everything_is_given_up_within_seconds(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]  # the queue is full, so further connections are dropped
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        server.activate(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{full.getsockname()[1]}")
        begun = time.monotonic()

        with pytest.raises(WorldError, match="does not answer"):
            open_store(server.uri).read("key")

        assert time.monotonic() - begun < 15
        for client in waiting:
            client.close()


@contextmanager
def _refusing(status: int, code: str, *, on: str = "") -> Iterator[str]:
    """The address of a server that answers requests (those with the header `on`) with an error, others with 200."""

    class Refuse(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            refuse = not on or on in self.headers
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            if not refuse:
                body = b"1" if self.command == "GET" else b""
            self.send_response(status if refuse else 200)
            self.send_header("ETag", '"c4ca4238a0b923820dcc509a6f75849b"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        served.shutdown()


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (301, "PermanentRedirect", "the bucket is in another region"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in another region"),
        (400, "ExpiredToken", "the credentials have expired"),
        (403, "AccessDenied", "access is refused"),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong"),
        (507, "XMinioStorageFull", "the server's disk is full"),
        (418, "Teapot", "the server refused with Teapot"),
    ],
)
def test_refusals_of_real_servers_are_told_in_words(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, status: int, code: str, said: str
) -> None:
    with _refusing(status, code) as endpoint:
        server.activate(monkeypatch, AWS_ENDPOINT_URL=endpoint)

        assert said in _problem(open_store(server.uri))


# -- conditional writes


FOREIGN = {  # status and body of what no S3 server says
    "a sign-in page": (200, b"<html><br>sign in</html>"),
    "a page of XML": (200, b"<html>sign in</html>"),
    "an empty answer": (200, b""),
    "noise": (200, bytes(range(200))),
    "a cut answer": (404, b"<Error><Code>NoSu"),
    "a redirect": (302, b""),
    "a broken proxy": (502, b"<html>bad gateway</html>"),
}


@contextmanager
def _answering(status: int, body: bytes) -> Iterator[str]:
    """The address of a server that answers everything so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = answer

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()


@pytest.mark.parametrize("answer", FOREIGN)
def test_what_no_s3_server_says_is_a_store_that_is_away(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str
) -> None:
    """And never an empty bucket, or one whose objects are gone."""
    (tmp_path / "large").write_bytes(bytes(20 << 20))
    with _answering(*FOREIGN[answer]) as endpoint:
        server.activate(monkeypatch, AWS_ENDPOINT_URL=endpoint)
        store = open_store("s3://acme/models")
        for do in (
            lambda: store.read("key"),
            lambda: store.entries("key"),
            lambda: store.write("key", b"1"),
            lambda: store.write("key", b"1", if_absent=True),
            lambda: store.write("key", b"1", if_match="1"),
            lambda: store.upload("key", tmp_path / "large"),
        ):
            with pytest.raises(StoreAway, match="s3://acme/models"):
                do()


@pytest.mark.slow
def test_a_silent_server_is_given_up_within_a_minute(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:  # takes connections, and says nothing
        server.activate(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(StoreAway, match="does not answer"):
            open_store("s3://acme/models").read("key")
        assert time.monotonic() - began < 60


def test_a_server_that_ignores_conditions_is_found_out(server: S3Server) -> None:
    store = S3Store(server.bucket, secrets.token_hex(4))

    store.write("key", b"1", if_absent=True)

    with pytest.raises(Conflict):
        store.write("key", b"2", if_absent=True)
    assert store.read_many(["key"]) == {"key": b"1"}


def test_there_a_write_that_is_overtaken_at_once_is_a_conflict(server: S3Server) -> None:
    prefix = secrets.token_hex(4)
    mine, other = S3Store(server.bucket, prefix), S3Store(server.bucket, prefix)
    mine.write("warm", b"", if_absent=True)

    overtaking = threading.Timer(0.1, other.write, ("key", b"other"))
    overtaking.start()
    with pytest.raises(Conflict):
        mine.write("key", b"mine", if_absent=True)
    overtaking.join()


def test_a_server_that_has_no_conditions_and_says_so_is_used_without(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _refusing(501, "NotImplemented", on="If-Match") as endpoint:
        server.activate(monkeypatch, AWS_ENDPOINT_URL=endpoint)
        store = open_store(server.uri)
        seen = store.read("key")
        assert seen is not None

        assert store.write("key", b"1", if_match=seen[1]) == seen[1]


# -- settings


class _OneRegion(http.server.BaseHTTPRequestHandler):
    """A server that takes signatures for its own region only, as Garage and Ceph do."""

    def do_GET(self) -> None:
        ours = "/eu-west-7/s3/" in self.headers["Authorization"]
        code, status = ("NoSuchKey", 404) if ours else ("AuthorizationHeaderMalformed", 400)
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_the_region_is_read_as_other_programs_read_it(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _OneRegion) as served:
        threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{served.server_port}"
        server.activate(monkeypatch, AWS_ENDPOINT_URL=endpoint, AWS_DEFAULT_REGION="eu-west-6")
        with pytest.raises(WorldError, match="the bucket is in another region"):
            open_store(server.uri).read("key")
        monkeypatch.setenv("AWS_REGION", "eu-west-7")
        assert open_store(server.uri).read("key") is None
        monkeypatch.delenv("AWS_REGION")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-7")
        assert open_store(server.uri).read("key") is None
        served.shutdown()


def test_http_and_https_taken_for_each_other_are_told_apart(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.activate(monkeypatch, AWS_ENDPOINT_URL=server.endpoint.replace("http:", "https:"))
    with pytest.raises(WorldError, match="speaks http, not https"):
        open_store(server.uri).read("key")
    with _answering(400, b"Client sent an HTTP request to an HTTPS server.\n") as endpoint:  # as Go's servers do
        server.activate(monkeypatch, AWS_ENDPOINT_URL=endpoint)
        with pytest.raises(WorldError, match="if the server speaks https, write AWS_ENDPOINT_URL with https://"):
            open_store(server.uri).read("key")


def test_the_endpoint_for_s3_alone_goes_before_the_general_one(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.activate(
        monkeypatch, AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_ENDPOINT_URL_S3=server.endpoint, AWS_REGION="eu-north-1"
    )

    assert open_store(server.uri).read("none") is None


def test_keys_and_endpoint_may_come_from_a_profile(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        f"[profile lab]\nendpoint_url = {server.endpoint}\naws_access_key_id = {server.key}\n"
        f"aws_secret_access_key = {server.secret}\n"
    )
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "lab")

    assert open_store(server.uri).read("none") is None


def test_a_bucket_may_be_a_store_or_an_input_as_a_whole(server: S3Server) -> None:
    with s3_server("rclone", bucket="whole") as fresh, pytest.MonkeyPatch.context() as patch:
        fresh.activate(patch)
        with pytest.raises(WorldError, match="there is nothing at s3://whole"):
            open_store("s3://whole", create=False)
        open_store("s3://whole/").write("a/b", b"1")

        assert [entry.key for entry in open_store("s3://whole", create=False).entries()] == ["a/b"]


def test_boto3_is_imported_when_a_bucket_is_opened_and_not_before() -> None:
    code = (
        "import sys; from sagespec.stores.open import open_store;"
        "import sagespec.records.records, sagespec.records.lock;"
        "open_store('/tmp'); print('boto3' in sys.modules)"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


# -- what others leave in a bucket


def test_folder_markers_are_no_objects_and_hostile_names_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    with s3_server("moto") as server:
        server.activate(monkeypatch)
        client = boto3.session.Session(region_name="us-east-1").client("s3")
        client.put_object(Bucket="acme", Key="train/", Body=b"")
        client.put_object(Bucket="acme", Key="train/a.csv", Body=b"1")
        assert [entry.key for entry in open_store("s3://acme/train", create=False).entries()] == ["a.csv"]

        client.put_object(Bucket="acme", Key="train/../../etc/cron.d/x", Body=b"1")
        with pytest.raises(WorldError, match=r"'\.\./\.\./etc/cron\.d/x' in s3://acme/train cannot be used"):
            open_store("s3://acme/train", create=False).entries()
