"""The checksums that S3 knows, computed bit by bit and put together from those of parts. Pure.

CRC-32 and the SHAs are of the standard library. CRC-32C and CRC-64/NVME are computed here, at some megabytes a second:
a client must be asked for them, since none sends them where CRC-32 will do.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from functools import cache
from typing import Protocol

# Reflected polynomials, and widths in bits. All three begin and end with all bits set.
_CRCS = {
    "crc32": (0xEDB88320, 32),
    "crc32c": (0x82F63B78, 32),
    "crc64nvme": (0x9A6C9329AC4BC9B5, 64),
}
ALGORITHMS = (*_CRCS, "sha1", "sha256")


class Checksum(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


def checksum(algorithm: str) -> Checksum:
    """algorithm: one of ALGORITHMS."""
    match algorithm:
        case "sha1":
            return hashlib.sha1(usedforsecurity=False)
        case "sha256":
            return hashlib.sha256()
    return _Crc(algorithm)


def of_parts(algorithm: str, parts: list[str]) -> str:
    """S3's composite checksum: that of the parts' checksums (base64), and how many they were."""
    whole = checksum(algorithm)
    for part in parts:
        whole.update(base64.b64decode(part))
    return f"{encoded(whole)}-{len(parts)}"


def combined(algorithm: str, parts: list[tuple[str, int]]) -> str:
    """The CRC of the whole, from the CRCs (base64) and sizes of its parts in order."""
    polynomial, width = _CRCS[algorithm]
    whole = 0
    for text, size in parts:
        whole = _after_zeros(whole, size, polynomial, width) ^ int.from_bytes(base64.b64decode(text), "big")
    return base64.b64encode(whole.to_bytes(width // 8, "big")).decode()


def can_be_combined(algorithm: str) -> bool:
    return algorithm in _CRCS


def encoded(checksum: Checksum) -> str:
    return base64.b64encode(checksum.digest()).decode()


class _Crc:
    def __init__(self, algorithm: str) -> None:
        self._polynomial, self._width = _CRCS[algorithm]
        self._is_plain = algorithm == "crc32"
        self._value = 0

    def update(self, data: bytes, /) -> None:
        if self._is_plain:
            self._value = zlib.crc32(data, self._value)
            return
        table, ones = _table(self._polynomial), (1 << self._width) - 1
        value = self._value ^ ones
        for byte in data:
            value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
        self._value = value ^ ones

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width // 8, "big")


@cache
def _table(polynomial: int) -> tuple[int, ...]:
    def entry(value: int) -> int:
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        return value

    return tuple(map(entry, range(256)))


def _after_zeros(value: int, size: int, polynomial: int, width: int) -> int:
    """The CRC after `size` more bytes of zeros, but for the bits set at begin and end, which cancel out.

    What one zero bit does is a matrix; squaring it doubles the zeros (as zlib's crc32_combine does).
    """
    # Column i says what becomes of bit i: it moves down, and the lowest leaves the polynomial.
    matrix = [polynomial, *(1 << bit for bit in range(width - 1))]
    bits = size * 8
    while bits:
        if bits & 1:
            value = _times(matrix, value)
        matrix = [_times(matrix, column) for column in matrix]
        bits >>= 1
    return value


def _times(matrix: list[int], vector: int) -> int:
    result = 0
    for column in matrix:
        if not vector:
            break
        if vector & 1:
            result ^= column
        vector >>= 1
    return result
