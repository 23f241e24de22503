"""The gateway's certificate: read, and held against its private key as a caller would hold it.

The files are the user's, or those of `self_signed`. Both go to the gateway as one document (`tls_document`), so that it
never has the certificate of one and the key of another.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagespec.errors import WorldError
from sagespec.gateway.self_signed import FILES, require_self_signed
from sagespec.private import NAME
from sagespec.spec.doors import TlsFiles
from sagespec.spec.project import GatewaySettings
from sagespec.state.doors import Certified, Doors

TLS = "gateway/tls.json"
LARGEST_BYTES = 2**18
TYPES = "type.googleapis.com/envoy"
_END = "-----END CERTIFICATE-----"
_EXPIRED, _NOT_YET = 10, 9  # codes of OpenSSL


@dataclass(frozen=True)
class Certificate:
    """chain: the certificate and those that lead to its authority, in PEM form."""

    chain: str
    key: str = field(repr=False)
    facts: Certified


def certificate_of(settings: GatewaySettings, root: Path) -> Certificate:
    """The one to be shown from now on; a self-signed one is made, or renewed, if it is time. WorldError when the files
    cannot be used."""
    files = tls_files(settings, root)
    if settings.tls == "self_signed":
        require_self_signed(*files, settings.hosts)
    return read_certificate(*files)


def no_certificate() -> Certificate:
    raise WorldError("the gateway has no certificate", fix="name one under gateway.tls in sagespec.yaml")


def certified(doors: Doors | None, certificate: Certificate | None) -> Doors | None:
    """The doors with what is known of this certificate."""
    return replace(doors, certificate=certificate.facts) if doors and certificate else doors


def tls_files(settings: GatewaySettings, root: Path) -> tuple[Path, Path]:
    """Certificate and key."""
    if isinstance(settings.tls, TlsFiles):
        return root / settings.tls.certificate, root / settings.tls.key
    return root / NAME / FILES[0], root / NAME / FILES[1]


def trusted_file(settings: GatewaySettings, root: Path) -> Path | None:
    """The certificate that callers on this machine may trust; None without TLS."""
    return tls_files(settings, root)[0] if settings.tls else None


def read_certificate(certificate: Path, key: Path) -> Certificate:
    chain, secret = _text(certificate), _text(key)
    names, ends_at = _seen_by_a_caller(certificate, key, _leaf(chain, certificate))
    if (chain, secret) != (_text(certificate), _text(key)):
        raise _unusable(certificate, "was replaced while it was read", "apply again")
    digest = hashlib.sha256(f"{chain}\0{secret}".encode()).hexdigest()[:16]
    return Certificate(chain, secret, Certified(digest, ends_at, names))


def leaf_of(file: Path) -> str:
    """The first certificate in a file."""
    return _leaf(_text(file), file)


def tls_document(certificate: Certificate) -> bytes:
    """As Envoy follows it."""
    secret = {
        "@type": f"{TYPES}.extensions.transport_sockets.tls.v3.Secret",
        "name": "gateway",
        "tls_certificate": {
            "certificate_chain": {"inline_string": certificate.chain},
            "private_key": {"inline_string": certificate.key},
        },
    }
    return json.dumps({"version_info": certificate.facts.digest, "resources": [secret]}).encode()


def _seen_by_a_caller(certificate: Path, key: Path, leaf: str) -> tuple[tuple[str, ...], datetime]:
    """Names in the certificate, and when it ends, from a handshake in memory with a caller that trusts it alone."""
    server, caller = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller.check_hostname = False
    caller.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        server.load_cert_chain(certificate, key, password="")
        caller.load_verify_locations(cadata=leaf)
        seen = _handshake(server, caller)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            raise _unusable(certificate, "has expired", "renew it: it is read again when its file changes") from None
        if error.verify_code == _NOT_YET:
            raise _unusable(certificate, "is not valid yet", "look at this machine's clock, or wait") from None
        raise _unusable(certificate, f"is refused by callers ({error.verify_message})", "bring another one") from None
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise _unusable(certificate, f"does not fit the key {key}", "name the key that it was made with") from None
        fix = "both are files in PEM form, the key without a passphrase"
        raise _unusable(certificate, f"and {key} cannot be read as certificate and key", fix) from None
    names = tuple(str(value) for kind, value in seen.get("subjectAltName", ()) if kind in ("DNS", "IP Address"))
    return names, datetime.fromtimestamp(ssl.cert_time_to_seconds(seen["notAfter"]), UTC)


def _handshake(server: ssl.SSLContext, caller: ssl.SSLContext) -> dict[str, Any]:
    """What the caller learns of the server's certificate."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [caller.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    waiting = list(sides)
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                pass
    return dict(sides[0].getpeercert() or {})


def _leaf(chain: str, file: Path) -> str:
    head, found, _ = chain.partition(_END)
    if not found:
        raise _unusable(file, "holds none in PEM form", "name the file that begins with -----BEGIN CERTIFICATE")
    return head + found + "\n"


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_BYTES).decode("ascii", errors="replace")
    except OSError as error:
        fix = "see gateway.tls in sagespec.yaml, and who may read the file"
        raise _unusable(file, f"cannot be read ({error.strerror or error})", fix) from None


def _unusable(file: Path, what: str, fix: str) -> WorldError:
    return WorldError(f"the certificate {file} {what}", why="the gateway keeps the one that it has, if any", fix=fix)
