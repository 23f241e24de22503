"""docs/exposing.md as it stands there: nginx and Caddy in front of the gateway, a unit for systemd around `watch`."""

from __future__ import annotations

import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests import proxies
from tests.docs.pages import ROOT, blocks
from tests.gateway.test_gateway import Stand, a_target, open_stand
from tests.gateway.test_requests import GOOD, PATH, Models
from tests.ports import free_port

PAGE = ROOT / "docs" / "exposing.md"
NAME = "ml.example.com"
LARGE = b"1,2,3\n" * (4 * 2**20 // 6)  # more than nginx takes by default
ROWS = "5.1,3.5,1.4,0.2"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with open_stand("process", "test-proxies", tmp_path_factory.mktemp("proxies")) as stand:
        name = stand.start("stable")
        stand.serve(a_target("stable", 1, [name]))
        yield stand


def of_page(language: str, stand: Stand) -> str:
    (block,) = blocks(PAGE, language)
    assert "127.0.0.1:8080" in block
    return block.replace("127.0.0.1:8080", f"127.0.0.1:{stand.settings.port}")


def client(url: str, verify: str | None = None) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        verify=verify,
        config=Config(retries={"max_attempts": 0}, read_timeout=30),
    )


def check(runtime: Any) -> None:
    """What an unmodified boto3 gets: answers, errors of model and gateway, and bodies beyond a proxy's defaults."""
    answer = runtime.invoke_endpoint(EndpointName="churn", Body=ROWS, ContentType="text/csv")
    assert (answer["InvokedProductionVariant"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("stable", 200)
    assert answer["Body"].read()
    with pytest.raises(runtime.exceptions.ModelError) as failed:
        runtime.invoke_endpoint(EndpointName="churn", Body=ROWS, CustomAttributes="status=500")
    assert failed.value.response["OriginalStatusCode"] == 500
    with pytest.raises(ClientError, match=r"Endpoint none of account .* not found"):
        runtime.invoke_endpoint(EndpointName="none", Body=ROWS)
    assert runtime.invoke_endpoint(EndpointName="churn", Body=LARGE)["InvokedProductionVariant"] == "stable"


# -- nginx -----------------------------------------------------------------------------------------


@pytest.mark.proxies
def test_nginx_with_its_defaults_speaks_http_1_0_and_is_answered(stand: Stand, tmp_path: Path) -> None:
    port = free_port()
    server = (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{stand.settings.port}; }} }}"
    )
    with proxies.nginx(tmp_path, server):
        runtime = client(f"http://127.0.0.1:{proxies.await_port(port)}")
        for _ in range(20):
            assert runtime.invoke_endpoint(EndpointName="churn", Body=ROWS)["InvokedProductionVariant"] == "stable"
        with pytest.raises(runtime.exceptions.ModelError):
            runtime.invoke_endpoint(EndpointName="churn", Body=ROWS, CustomAttributes="status=500")
        with pytest.raises(ClientError, match="ValidationError"):
            runtime.invoke_endpoint(EndpointName="none", Body=ROWS)


@pytest.mark.proxies
def test_nginx_as_the_page_has_it(stand: Stand, tmp_path: Path) -> None:
    port, (pem, key) = free_port(), proxies.certificate(tmp_path)
    server = of_page("nginx", stand).replace("listen 443", f"listen 127.0.0.1:{port}").replace(NAME, "localhost")
    server = re.sub(r"/etc/\S+fullchain\.pem", str(pem), re.sub(r"/etc/\S+privkey\.pem", str(key), server))
    with proxies.nginx(tmp_path, server):
        check(client(f"https://localhost:{proxies.await_port(port)}", str(pem)))


# -- Caddy -----------------------------------------------------------------------------------------


@pytest.mark.proxies
def test_caddy_as_the_page_has_it(stand: Stand, tmp_path: Path) -> None:
    port, (pem, key) = free_port(), proxies.certificate(tmp_path)
    file = of_page("caddyfile", stand)
    assert file.startswith(f"{NAME} {{\n")
    file = file.replace(f"{NAME} {{\n", f"https://localhost:{port} {{\n    tls {pem} {key}\n", 1)
    with proxies.caddy(tmp_path, file):
        check(client(f"https://localhost:{proxies.await_port(port)}", str(pem)))


@pytest.mark.proxies
def test_caddy_without_that_line_is_refused(stand: Stand, tmp_path: Path) -> None:
    """Which is why the page has it: the caller's Host is another site's name to the gateway."""
    port = free_port()
    file = re.sub(r" *header_up Host .*\n", "", of_page("caddyfile", stand)).replace(NAME, f"http://{NAME}:{port}", 1)
    assert "header_up" not in file
    with proxies.caddy(tmp_path, file):
        with closing(http.client.HTTPConnection("127.0.0.1", proxies.await_port(port), timeout=20)) as connection:
            connection.request("POST", "/endpoints/churn/invocations", ROWS, {"Host": f"{NAME}:{port}"})
            assert connection.getresponse().status == 403


# -- HTTP/1.0 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    ("path", "answer", "status"),
    [
        (PATH, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        (PATH, GOOD, 200),
        (PATH, b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", 424),
        ("/endpoints/none/invocations", b"", 400),
        ("/none", b"", 404),
    ],
)
def test_an_older_client_gets_the_same_without_chunks(
    stand: Stand, path: str, answer: bytes, status: int, version: str
) -> None:
    with Models(answer).behind(stand), socket.create_connection(("127.0.0.1", stand.settings.port), 20) as connection:
        head = f"POST {path} HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 3\r\n\r\n1,2"
        connection.sendall(head.encode())
        said = b"".join(iter(lambda: connection.recv(65536), b""))  # it ends by itself
    head_text, _, body = said.partition(b"\r\n\r\n")
    assert head_text.startswith(f"HTTP/{version} {status} ".encode())
    assert (b"chunked" in head_text.lower()) <= (version == "1.1")
    if version == "1.0":
        assert body == b"ok" if status == 200 else body.startswith(b'{"Message"')


# -- systemd ---------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_has_no_objection_to_the_unit_of_the_page(tmp_path: Path) -> None:
    (unit,) = blocks(ROOT / "docs" / "operations.md", "ini")
    for setting in ("KillMode=process", "OOMPolicy=continue", "Restart=always"):
        assert setting in unit.splitlines()
    unit = unit.replace("/srv/churn/.venv/bin/sagespec", "/bin/true").replace("User=ada", "User=root")
    (tmp_path / "churn.service").write_text(unit.replace("/srv/churn", "/"))
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "churn.service")], capture_output=True, text=True
    )
    about = [line for line in said.stderr.splitlines() if "churn.service" in line]
    assert (said.returncode, about) == (0, []), said.stderr
