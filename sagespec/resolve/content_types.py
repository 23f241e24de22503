"""What a channel's data are: by what its spec says, or by the names of its files. As images/toolkit/media.py has it."""

from __future__ import annotations

from collections.abc import Iterable

OTHER_SPELLINGS = {
    "csv": "text/csv",
    "libsvm": "text/libsvm",
    "text/x-libsvm": "text/libsvm",
    "application/x-jsonlines": "application/jsonlines",
    "application/json-lines": "application/jsonlines",
    "parquet": "application/x-parquet",
    "recordio-protobuf": "application/x-recordio-protobuf",
}
OF_SUFFIXES = {
    ".csv": "text/csv",
    ".libsvm": "text/libsvm",
    ".svm": "text/libsvm",
    ".jsonl": "application/jsonlines",
    ".ndjson": "application/jsonlines",
    ".parquet": "application/x-parquet",
    ".pbr": "application/x-recordio-protobuf",
    ".rec": "application/x-recordio-protobuf",
    ".recordio": "application/x-recordio-protobuf",
}


def name_of(content_type: str) -> str:
    """`TEXT/CSV; label_size=0` in the one spelling, without parameters."""
    name = content_type.partition(";")[0].strip().lower()
    return OTHER_SPELLINGS.get(name, name)


def label_size_of(content_type: str) -> str:
    """How many of the first columns are the label: '0', or '1', which is what it is unless it says something else."""
    parameters = (part.partition("=") for part in content_type.split(";")[1:])
    found = {key.strip().lower(): value.strip().strip('"') for key, _, value in parameters}
    return found.get("label_size", "1")


def of_files(names: Iterable[str]) -> str:
    """What all files are whose names show it; '' if none does, or they differ."""
    plain = [name.lower().removesuffix(".gz") for name in names]
    kinds = {kind for name in plain for suffix, kind in OF_SUFFIXES.items() if name.endswith(suffix)}
    return kinds.pop() if len(kinds) == 1 else ""
