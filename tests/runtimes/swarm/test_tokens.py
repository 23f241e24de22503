"""A registry that wants a token of another server, as most on the internet do: gc asks for it as engines do."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sagespec.errors import WorldError
from sagespec.runtimes.swarm.images import SwarmImages
from sagespec.runtimes.swarm.registry import Registry
from sagespec.state.programs import Builtin
from tests import registries

pytestmark = [pytest.mark.docker, pytest.mark.registry]

PROBE = Builtin("probe")
BASIC = "Basic " + base64.b64encode(b"ada:s3cret").decode()


class Tokens:
    """Whoever has the name and the password gets a token for all that it asks for; others one for nothing."""

    def __init__(self) -> None:
        self.are_expired, self.asked = False, 0
        self.key = ec.generate_private_key(ec.SECP256R1())
        name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tokens")]), datetime.now(UTC)
        made = x509.CertificateBuilder(name, name, self.key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = made.sign(self.key, hashes.SHA256())

    def token(self, scopes: list[str], *, let_in: bool) -> str:
        access = []
        for scope in scopes if let_in else ():
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        chain = [base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()]
        now = int(time.time())
        claims = {"iss": "tests", "aud": "registry", "iat": now, "nbf": now - 60, "exp": now + 600, "access": access}
        said = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", "x5c": chain}, claims))
        r, s = decode_dss_signature(self.key.sign(said.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{said}.{encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    @contextmanager
    def served(self) -> Iterator[str]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                scopes = [
                    scope for text in parse_qs(urlsplit(self.path).query).get("scope", []) for scope in text.split()
                ]
                tokens.asked += 1
                is_ada = self.headers.get("Authorization") == BASIC
                token = tokens.token(scopes, let_in=is_ada and not tokens.are_expired)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"token": token}).encode())

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/token"
            finally:
                server.shutdown()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def images_of(client: Any, root: Path, place: str) -> SwarmImages:
    return SwarmImages(client, root / "images", root, Registry(client, place))


def test_gc_gets_a_token_for_the_login(docker_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from docker import APIClient

    (tmp_path / "images" / "probe").mkdir(parents=True)
    (tmp_path / "images" / "toolkit").mkdir()
    (tmp_path / "images" / "probe" / "Dockerfile").write_text('FROM scratch\nADD probe/said /\nCMD ["/none"]\n')
    (tmp_path / "images" / "probe" / "said").write_text(str(tmp_path))
    tokens = Tokens()
    (tmp_path / "certificate.pem").write_bytes(tokens.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with tokens.served() as realm:
        token = f"{{realm: '{realm}', service: registry, issuer: tests, rootcertbundle: {tmp_path}/certificate.pem}}"
        with registries.running(tmp_path / "registry", auth=f"auth: {{token: {token}}}\n") as address:
            with pytest.raises(WorldError, match="does not let us in"):
                images_of(APIClient(), tmp_path, f"{address}/acme").built()
            registries.log_in(tmp_path, address)
            images = images_of(APIClient(), tmp_path, f"{address}/acme")
            digest = images.prepare(PROBE, print)
            tokens.are_expired = True
            with pytest.raises(WorldError, match="does not let us in"):
                images.built()
            tokens.are_expired = False
            images.built()
            before = tokens.asked
            images.built()
            assert tokens.asked == before, "those of before will do"
            (found,) = (info for info in images.built() if info.reference == images.now(PROBE))
            assert found.digest == digest
            assert images.remove(found.reference)
            assert not images.has(found.reference)
            registries.forget(docker_client, address)


def test_a_server_of_tokens_that_does_not_answer_is_told_in_a_sentence(
    docker_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker import APIClient

    (tmp_path / "images" / "toolkit").mkdir(parents=True)
    tokens = Tokens()
    (tmp_path / "certificate.pem").write_bytes(tokens.certificate.public_bytes(Encoding.PEM))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    realm = "http://127.0.0.1:1/token"
    token = f"{{realm: '{realm}', service: registry, issuer: tests, rootcertbundle: {tmp_path}/certificate.pem}}"
    with registries.running(tmp_path / "registry", auth=f"auth: {{token: {token}}}\n") as address:
        with pytest.raises(WorldError, match="could not get a token for"):
            images_of(APIClient(), tmp_path, f"{address}/acme").built()
        registries.forget(docker_client, address)
