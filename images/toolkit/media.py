"""Media types: what a Content-Type says, and which answer an Accept asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

CSV = "text/csv"
LIBSVM = "text/libsvm"
JSON = "application/json"
JSON_LINES = "application/jsonlines"
RECORDIO = "application/x-recordio-protobuf"
PARQUET = "application/x-parquet"

RECORDIO_MARK = b"\x0a\x23\xd7\xce"

OTHER_NAMES = {
    "csv": CSV,
    "libsvm": LIBSVM,
    "text/x-libsvm": LIBSVM,
    "application/x-jsonlines": JSON_LINES,
    "application/json-lines": JSON_LINES,
    "parquet": PARQUET,
    "recordio-protobuf": RECORDIO,
}

OF_SUFFIXES = {
    ".csv": CSV,
    ".libsvm": LIBSVM,
    ".svm": LIBSVM,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".parquet": PARQUET,
    ".pbr": RECORDIO,
    ".rec": RECORDIO,
    ".recordio": RECORDIO,
}


def media_type_of_file(name: str) -> str | None:
    """What the name of a file says that it holds: `train.csv.gz` is CSV; None for a name that says nothing."""
    plain = name.lower().removesuffix(".gz")
    return next((kind for suffix, kind in OF_SUFFIXES.items() if plain.endswith(suffix)), None)


def media_type_of_head(head: bytes) -> str | None:
    """What the first bytes of a file say: records are known by their mark; None for what could be anything."""
    return RECORDIO if head.startswith(RECORDIO_MARK) else None


def is_json(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(".json")


@dataclass(frozen=True)
class MediaType:
    """A type with its parameters: `text/csv; label_size=0`."""

    name: str
    parameters: Mapping[str, str]


@lru_cache(maxsize=256)
def media_type(header: str) -> MediaType:
    """`header` with its name in the one spelling used here, lower case."""
    name, *parts = header.split(";")
    pairs = (part.partition("=") for part in parts)
    parameters = {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}
    plain = name.strip().lower()
    return MediaType(OTHER_NAMES.get(plain, plain), MappingProxyType(parameters))


@lru_cache(maxsize=256)
def choose(accept: str, offered: tuple[str, ...]) -> MediaType | None:
    """The best of `offered` for an Accept header, or None; an empty header takes the first.

    Follows RFC 9110: highest q first, then the order in which the client wrote them.
    """
    if not accept.strip():
        return media_type(offered[0])
    wanted = [media_type(part) for part in accept.split(",") if part.strip()]
    refused = {wish.name for wish in wanted if _quality(wish) <= 0}
    for wish in sorted(wanted, key=_quality, reverse=True):
        for name in offered:
            if _quality(wish) > 0 and name not in refused and _covers(wish.name, name):
                return MediaType(name, wish.parameters)
    return None


def _quality(wish: MediaType) -> float:
    try:
        return float(wish.parameters.get("q", "1"))
    except ValueError:
        return 0.0


def _covers(wish: str, name: str) -> bool:
    return wish in (name, "*/*", name.partition("/")[0] + "/*")
