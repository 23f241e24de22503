"""The rewards of endpoints, as the store keeps them: <project>/endpoints/<name>/rewards.json."""

from __future__ import annotations

from contextlib import suppress

from pydantic import ValidationError

from sagespec.state.rewards import Rewards
from sagespec.stores.protocol import Store


class KeptRewards:
    """Of one project in one store. A damaged record counts as missing."""

    def __init__(self, store: Store, project_name: str) -> None:
        self._store, self._folder = store, f"{project_name}/endpoints"

    def read(self, endpoint_name: str) -> tuple[Rewards, str]:
        """What there is, and the ETag to write more with; none where nothing is there."""
        found = self._store.read(self._key(endpoint_name))
        if found is None:
            return Rewards(), ""
        with suppress(ValidationError):
            return Rewards.model_validate_json(found[0]), found[1]
        return Rewards(), found[1]

    def write(self, endpoint_name: str, rewards: Rewards, etag: str) -> None:
        """Conflict where somebody else has written since."""
        data, key = rewards.model_dump_json(exclude_defaults=True).encode(), self._key(endpoint_name)
        if etag:
            self._store.write(key, data, if_match=etag)
        else:
            self._store.write(key, data, if_absent=True)

    def _key(self, endpoint_name: str) -> str:
        return f"{self._folder}/{endpoint_name}/rewards.json"
