"""The salt with which a project hashes its secrets: made once, kept in the store, shown nowhere.

<project>/secrets.json
"""

from __future__ import annotations

import json
import secrets
from contextlib import suppress

from sagespec.errors import WorldError
from sagespec.stores.protocol import Conflict, Store

SALT_BYTES = 32


def salt_of(store: Store, project_name: str) -> bytes:
    key = f"{project_name}/secrets.json"
    found = store.read(key)
    if found is None:
        new = json.dumps({"format": 1, "salt": secrets.token_hex(SALT_BYTES)})
        with suppress(Conflict):  # another run has made it
            store.write(key, new.encode(), if_absent=True)
        found = store.read(key)
    with suppress(ValueError, KeyError, TypeError):
        if found and len(salt := bytes.fromhex(json.loads(found[0])["salt"])) == SALT_BYTES:
            return salt
    raise WorldError(
        f"{store.uri}/{key} is damaged",
        why="it tells versions of secrets apart",
        fix="restore it; or remove it, and containers that use secrets are replaced once",
    )
