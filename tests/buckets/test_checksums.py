"""Checksums against known values, and those of parts against that of the whole."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.buckets.checksums import checksum, combined, encoded, of_parts

# The catalogue of parametrised CRC algorithms: what each gives for the digits 1 to 9.
CHECK_VALUES = {"crc32": 0xCBF43926, "crc32c": 0xE3069283, "crc64nvme": 0xAE8B14860A799888}


@pytest.mark.parametrize("name", CHECK_VALUES)
def test_the_check_value_is_that_of_the_catalogue(name: str) -> None:
    one = checksum(name)
    one.update(b"1234")
    one.update(b"56789")

    assert int.from_bytes(one.digest(), "big") == CHECK_VALUES[name]


@pytest.mark.parametrize("name", CHECK_VALUES)
@settings(max_examples=30, deadline=None)
@given(parts=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_those_of_parts_combine_to_that_of_the_whole(name: str, parts: list[bytes]) -> None:
    assert combined(name, [(of(name, part), len(part)) for part in parts]) == of(name, b"".join(parts))


def test_a_composite_is_the_checksum_of_checksums() -> None:
    parts = [of("crc32", b"one"), of("crc32", b"two")]
    raw = zlib.crc32(b"".join(map(base64.b64decode, parts))).to_bytes(4, "big")

    assert of_parts("crc32", parts) == f"{base64.b64encode(raw).decode()}-2"


def of(name: str, data: bytes) -> str:
    one = checksum(name)
    one.update(data)
    return encoded(one)
