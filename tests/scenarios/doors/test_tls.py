"""The gateway's certificate: shown, renewed without a lost request, and refused when it would not do."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sagespec.errors import WorldError
from sagespec.gateway.certificates import certificate_of, leaf_of, read_certificate
from sagespec.gateway.gateway import Gateway
from sagespec.gateway.self_signed import make_self_signed
from sagespec.spec.doors import TlsFiles
from sagespec.spec.project import GatewaySettings
from sagespec.state.doors import NO_DOORS, UNUSABLE, Certified, Doors
from tests.gateway.test_gateway import Stand, a_target, open_stand, wait_for
from tests.scenarios.doors.door import BODY, PATH


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make_self_signed(*made, ["ml.example.com"])
    return made


def test_a_certificate_says_its_names_and_its_end(files: tuple[Path, Path]) -> None:
    found = read_certificate(*files)
    assert found.facts.names == ("localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", "ml.example.com")
    assert found.facts.ends_at is not None
    assert timedelta(days=364) < found.facts.ends_at - datetime.now(UTC) < timedelta(days=366)
    assert found.key not in repr(found)
    assert files[1].stat().st_mode & 0o777 == 0o600


def test_what_callers_would_refuse_is_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem", tmp_path / "other-key.pem"
    make_self_signed(*other, [])
    with pytest.raises(WorldError, match="does not fit the key"):
        read_certificate(files[0], other[1])
    with pytest.raises(WorldError, match="cannot be read"):
        read_certificate(files[0], tmp_path / "nothing.pem")
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(WorldError, match="holds none in PEM form"):
        read_certificate(tmp_path / "empty.pem", files[1])
    (tmp_path / "odd.pem").write_text(files[0].read_text().replace("MI", "XX"))
    with pytest.raises(WorldError, match="cannot be read as certificate and key"):
        read_certificate(tmp_path / "odd.pem", files[1])
    sealed = tmp_path / "sealed.pem"
    _openssl("ec", "-in", str(files[1]), "-aes256", "-passout", "pass:secret", "-out", str(sealed))
    with pytest.raises(WorldError, match="without a passphrase"):
        read_certificate(files[0], sealed)


_AUTHORITY = """[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
[any]
commonName = optional
"""


def test_one_that_has_expired_is_refused(tmp_path: Path) -> None:
    request, certificate, key, configuration = (
        tmp_path / name for name in ("old.csr", "old.pem", "old-key.pem", "ca.cnf")
    )
    (tmp_path / "index").touch()
    (tmp_path / "serial").write_text("01\n")
    configuration.write_text(_AUTHORITY.format(folder=tmp_path))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=old")
    _openssl("req", "-new", *curve, "-keyout", str(key), "-out", str(request))
    _openssl(
        *("ca", "-batch", "-selfsign", "-config", str(configuration), "-keyfile", str(key), "-in", str(request)),
        *("-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-out", str(certificate), "-notext"),
    )
    with pytest.raises(WorldError, match="has expired"):
        read_certificate(certificate, key)


def test_a_self_signed_one_is_kept_until_it_ends_soon_or_has_other_names(tmp_path: Path) -> None:
    settings = GatewaySettings(tls="self_signed", hosts=("ml.example.com",))
    first = certificate_of(settings, tmp_path)
    assert certificate_of(settings, tmp_path) == first
    assert certificate_of(GatewaySettings(tls="self_signed"), tmp_path) != first
    files = tmp_path / ".sagespec/tls/certificate.pem", tmp_path / ".sagespec/tls/key.pem"
    make_self_signed(*files, [], days=20)
    soon = read_certificate(*files)
    renewed = certificate_of(GatewaySettings(tls="self_signed"), tmp_path)
    assert renewed.facts.ends_at
    assert soon.facts.ends_at
    assert renewed.facts.ends_at - soon.facts.ends_at > timedelta(days=300)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


# -- at a real gateway -----------------------------------------------------------------------------


class Shown(Stand):
    """A gateway with the certificate in the files of `self_signed`."""

    root: Path

    def another_gateway(self, settings: GatewaySettings | None = None) -> Gateway:
        settings = settings or self.settings
        return Gateway(
            self.runtime, self.project_name, settings, certificate=lambda: certificate_of(settings, self.root)
        )


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def shown(request: pytest.FixtureRequest, project_name: str, tmp_path: Path) -> Iterator[Stand]:
    Shown.root = tmp_path
    doors = Doors(certificate=Certified(""))
    with open_stand(
        request.param, project_name, tmp_path / "engine", kind=Shown, settings={"tls": "self_signed"}, doors=doors
    ) as stand:
        stand.serve(a_target("stable", 1, [stand.start("stable")]))
        yield stand


def trusting(file: Path) -> ssl.SSLContext:
    """What a caller does who was given the certificate, as strictly as OpenSSL can."""
    context = ssl.create_default_context(cafile=str(file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def ask(stand: Stand, context: ssl.SSLContext, host: str = "localhost") -> int:
    with closing(http.client.HTTPSConnection(host, stand.settings.port, timeout=20, context=context)) as connection:
        connection.request("POST", PATH, BODY)
        return connection.getresponse().status


def test_callers_who_trust_the_certificate_are_answered_and_nobody_else(shown: Stand, tmp_path: Path) -> None:
    file = tmp_path / ".sagespec/tls/certificate.pem"
    assert ask(shown, trusting(file)) == 200
    assert ask(shown, trusting(file), "127.0.0.1") == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(shown, ssl.create_default_context())
    with socket.create_connection(("127.0.0.1", shown.settings.port), timeout=20) as plain:
        plain.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.recv(100) == b""


def test_a_renewed_certificate_is_shown_and_no_request_is_lost(shown: Stand, tmp_path: Path) -> None:
    file = tmp_path / ".sagespec/tls/certificate.pem"
    answers: Counter[str] = Counter()
    over = threading.Event()
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE

    def call(*, stays: bool) -> None:
        connection = http.client.HTTPSConnection("127.0.0.1", shown.settings.port, timeout=20, context=anybody)
        while not over.is_set():
            try:
                connection.request("POST", PATH, BODY)
                response = connection.getresponse()
                response.read()
                answers[str(response.status)] += 1
            except (OSError, http.client.HTTPException) as error:
                answers[repr(error)] += 1
                connection.close()
            if not stays:
                connection.close()
        connection.close()

    threads = [threading.Thread(target=call, kwargs={"stays": stays}) for stays in (True, False, False)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            before = leaf_of(file)
            make_self_signed(file, file.with_name("key.pem"), [])
            shown.gateway.set_doors(Doors(certificate=Certified("")))
            assert leaf_of(file) != before
            wait_for(lambda: _shown_by(shown) == ssl.PEM_cert_to_DER_cert(leaf_of(file)))
        goal = answers.total() + 50
        wait_for(lambda: answers.total() > goal)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert answers.keys() == {"200"}


def _shown_by(stand: Stand) -> bytes:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", stand.settings.port), timeout=20) as plain:
        with anybody.wrap_socket(plain) as connection:
            return connection.getpeercert(True) or b""


def test_a_certificate_that_does_not_fit_changes_nothing(shown: Stand, tmp_path: Path) -> None:
    before = _shown_by(shown)
    key = tmp_path / ".sagespec/tls/key.pem"
    make_self_signed(tmp_path / "other.pem", key, [])
    with pytest.raises(WorldError, match="does not fit"):
        shown.gateway.set_doors(Doors(certificate=Certified("")))
    assert _shown_by(shown) == before
    observed = shown.gateway.observe(shown.runtime.containers())
    assert observed.doors.certificate is not None
    assert observed.doors.certificate.digest


@pytest.mark.parametrize("engine", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_no_gateway_is_stopped_for_a_certificate_that_cannot_be_used(
    engine: str, project_name: str, tmp_path: Path
) -> None:
    with open_stand(engine, project_name, tmp_path / "engine") as stand:
        stand.serve(a_target("stable", 1, [stand.start("stable")]))
        files = TlsFiles(certificate="certificate.pem", key="key.pem")
        settings = stand.settings.model_copy(update={"tls": files})
        name = stand.project_name
        wanted = Gateway(stand.runtime, name, settings, certificate=lambda: certificate_of(settings, tmp_path))
        with pytest.raises(WorldError, match=r"certificate\.pem cannot be read"):
            wanted.start(lambda _event: None, doors=Doors(certificate=UNUSABLE))
        with closing(http.client.HTTPConnection("127.0.0.1", stand.settings.port, timeout=20)) as connection:
            connection.request("POST", PATH, BODY)
            assert connection.getresponse().status == 200
        made = tmp_path / "certificate.pem", tmp_path / "key.pem"
        make_self_signed(*made, [])
        wanted.start(lambda _event: None, doors=Doors(certificate=read_certificate(*made).facts))
        assert ask(stand, trusting(tmp_path / "certificate.pem")) == 200


def test_the_private_key_is_for_the_gateway_alone(shown: Stand, tmp_path: Path) -> None:
    key = (tmp_path / ".sagespec/tls/key.pem").read_text()
    (dump,) = shown.gateway._admin.fetch("/config_dump")
    assert key.splitlines()[1].encode() not in dump
    assert b"PRIVATE KEY" not in dump
    if shown.runtime.name == "process":
        written = Path(shown.runtime.base_dir(shown.gateway.launch().name)) / "gateway/tls.json"
        assert written.stat().st_mode & 0o777 == 0o600
    shown.gateway.start(lambda _event: None, restart=True)  # by somebody who knows nothing of certificates
    assert ask(shown, trusting(tmp_path / ".sagespec/tls/certificate.pem")) == 200
    assert shown.gateway.observe(shown.runtime.containers()).doors != NO_DOORS
