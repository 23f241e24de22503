"""A certificate that nobody has vouched for: for a first try, and for callers that are given it to trust.

Made with the program `openssl`, which machines have anyway: Python's own library cannot make one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection
from pathlib import Path

from sagespec.errors import WorldError, disk_problems
from sagespec.private import write_private

FILES = ("tls/certificate.pem", "tls/key.pem")  # in .sagespec
DAYS = 365
RENEWED_DAYS = 30  # before its end
_USUAL = ("DNS:localhost", "IP:127.0.0.1", "IP:::1")
_CONFIGURATION = """[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = sagespec gateway
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
subjectAltName = {names}
"""


def require_self_signed(certificate: Path, key: Path, hosts: Collection[str]) -> None:
    """Make certificate and key, unless they are there, name these hosts and are good for a month."""
    if not is_good(certificate, key, hosts):
        make_self_signed(certificate, key, hosts)


def is_good(certificate: Path, key: Path, hosts: Collection[str]) -> bool:
    if not (certificate.is_file() and key.is_file()):
        return False
    ends = _openssl("x509", "-in", str(certificate), "-noout", "-checkend", str(RENEWED_DAYS * 86400), check=False)
    text = _openssl("x509", "-in", str(certificate), "-noout", "-text", check=False)
    named = set(re.findall(r"DNS:([^,\s]+)", text.stdout))
    return ends.returncode == 0 and named == {"localhost", *hosts}


def make_self_signed(certificate: Path, key: Path, hosts: Collection[str], *, days: int = DAYS) -> None:
    names = ", ".join([*_USUAL, *(f"DNS:{host}" for host in sorted(hosts))])
    with disk_problems("cannot make a certificate"), tempfile.TemporaryDirectory() as folder:
        made = [Path(folder) / name for name in ("certificate.pem", "key.pem", "openssl.cnf")]
        made[2].write_text(_CONFIGURATION.format(names=names))
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256"),
            *("-days", str(days), "-config", str(made[2]), "-keyout", str(made[1]), "-out", str(made[0])),
        )
        write_private(key, made[1].read_text())
        write_private(certificate, made[0].read_text())


def _openssl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    program = shutil.which("openssl")
    if program is None:
        raise WorldError(
            "tls: self_signed needs the program openssl, which is not here",
            fix="install it (apt install openssl), or name files under gateway.tls",
        )
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    if check and done.returncode:
        raise WorldError(
            f"openssl made no certificate: {done.stderr.strip()[-500:]}", fix="name files under gateway.tls"
        )
    return done
