"""Pages of a bucket, held against the plain rule over all keys."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sagespec.buckets.layout import Layout
from sagespec.buckets.listing import Asked, page_of
from sagespec.buckets.writing import incoming, make_bucket, put

KEYS = st.text("ab/.-", min_size=1, max_size=7)
PREFIXES = st.text("ab/.-", max_size=3)


def filled(root: Path, keys: set[str]) -> Layout:
    layout = Layout(root)
    make_bucket(layout, "acme")
    for key in keys:
        with incoming(layout) as content:
            put(layout, "acme", key, content, etag="0")
    return layout


def expected(keys: set[str], asked: Asked) -> list[str]:
    """All that follows `after`: keys, and groups where there is a delimiter."""
    found: list[str] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(asked.prefix) or key.encode() <= asked.after.encode():
            continue
        head, delimiter, _ = key[len(asked.prefix) :].partition(asked.delimiter) if asked.delimiter else (key, "", "")
        one = f"{asked.prefix}{head}{delimiter}" if delimiter else key
        if one != asked.after and one not in found:
            found.append(one)
    return found


@settings(max_examples=120, deadline=None)
@given(
    keys=st.sets(KEYS, max_size=12),
    prefix=PREFIXES,
    delimiter=st.sampled_from(["", "/", "a", "/a"]),
    after=PREFIXES,
    limit=st.integers(1, 4),
)
def test_pages_together_are_all_keys_in_order(
    keys: set[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layout = filled(Path(folder), keys)
        found: list[str] = []
        last = after
        while True:
            page = page_of(layout, "acme", Asked(prefix, delimiter, last, limit))
            names = sorted([*(one.key for one in page.objects), *page.groups], key=str.encode)
            found += names
            assert len(names) <= limit
            if not page.last:
                break
            assert page.last == names[-1]
            last = page.last

    assert found == expected(keys, Asked(prefix, delimiter, after))
