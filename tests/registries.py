"""A real registry (Debian's docker-registry) for a test, with or without a login."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from tests.ports import free_port

LOGIN = {"username": "ada", "password": "s3cret"}
_HTPASSWD = "ada:$2a$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n"  # bcrypt of the password
_CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: {deletes}}}}}
http: {{addr: "{address}"}}
"""
_AUTH = "auth: {{htpasswd: {{realm: private, path: {folder}/htpasswd}}}}\n"


@contextmanager
def running(
    folder: Path, *, login: bool = False, deletes: bool = True, address: str = "", auth: str = ""
) -> Iterator[str]:
    """Its address. Engines take one on the loopback without a certificate. folder: for its files. auth: in place of
    the login, as its configuration has it."""
    folder.mkdir(parents=True, exist_ok=True)
    address = address or f"127.0.0.1:{free_port()}"
    config = _CONFIG.format(data=folder / "data", deletes=str(deletes).lower(), address=address)
    (folder / "config.yml").write_text(config + (_AUTH.format(folder=folder) if login else auth))
    (folder / "htpasswd").write_text(_HTPASSWD)
    with (folder / "log").open("wb") as log:
        command = [shutil.which("docker-registry") or "", "serve", str(folder / "config.yml")]
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait_for(f"http://{address}/v2/")
        yield address
    finally:
        server.terminate()
        server.wait()


def forget(client: Any, address: str) -> None:
    """Remove what the engine has of this registry."""
    for image in client.images():
        for name in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ())):
            if name.startswith(f"{address}/"):
                with suppress(NotFound):  # it went with the name before
                    client.remove_image(name, force=True)


def log_in(folder: Path, address: str) -> None:
    """As after `docker login`, for whoever has `folder` as DOCKER_CONFIG."""
    login = base64.b64encode(f"{LOGIN['username']}:{LOGIN['password']}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": login}}}))


def _wait_for(url: str) -> None:
    give_up_at = time.monotonic() + 30
    while not _answers(url):
        assert time.monotonic() < give_up_at, f"nothing answers at {url}"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code == 401
    except OSError:
        return False
    return True
