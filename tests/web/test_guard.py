from __future__ import annotations

import pytest

from sagespec.web.guard import names_of, refusal

NAMES = names_of(8081, ["sage.example.com"])
HERE = "127.0.0.1:8081"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": HERE}, None),
        ({"host": "LOCALHOST:8081"}, None),
        ({"host": "[::1]:8081"}, None),
        ({"host": "sage.example.com"}, None),
        ({"host": HERE, "origin": f"http://{HERE}", "sec-fetch-site": "same-origin"}, None),
        ({"host": HERE, "sec-fetch-site": "none"}, None),
        ({}, 421),
        ({"host": ""}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": "127.0.0.1:80"}, 421),
        ({"host": "evil.example:8081"}, 421),
        ({"host": "127.0.0.1:8081.evil.example"}, 421),
        ({"host": HERE, "origin": "http://evil.example"}, 403),
        ({"host": HERE, "origin": "null"}, 403),
        ({"host": HERE, "origin": ""}, 403),
        ({"host": HERE, "origin": "http://["}, 403),
        ({"host": HERE, "origin": "http://127.0.0.1:9999"}, 403),
        ({"host": HERE, "sec-fetch-site": "cross-site"}, 403),
        ({"host": HERE, "sec-fetch-site": "same-site"}, 403),
    ],
)
def test_only_this_machine_and_this_site_may_ask(headers: dict[str, str], status: int | None) -> None:
    found = refusal(headers, NAMES)
    assert (found and found.status) == status
