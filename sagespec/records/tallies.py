"""What was counted of endpoints, as the store keeps it.

<project>/endpoints/<name>/counted.json             of its present revision, and what its targets are compared by
<project>/endpoints/<name>/counted/<number>.json    of a revision that has ended
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from pydantic import ValidationError

from sagespec.state.counts import Counts
from sagespec.state.tally import Ended, Tally
from sagespec.stores.protocol import Store


class Tallies:
    """Of one project in one store. Damaged records count as missing: that loses counts, never a model."""

    def __init__(self, store: Store, project_name: str) -> None:
        self._store, self._folder = store, f"{project_name}/endpoints"

    def read(self, endpoint_name: str) -> tuple[Tally, str]:
        """What was counted, and the ETag to write the next look with; an empty one where nothing is there."""
        found = self._store.read(self._key(endpoint_name))
        if found is None:
            return Tally(), ""
        with suppress(ValidationError):
            return Tally.model_validate_json(found[0]), found[1]
        return Tally(), found[1]

    def write(self, endpoint_name: str, tally: Tally, etag: str) -> None:
        """Conflict where somebody else has looked since."""
        data = tally.model_dump_json(exclude_defaults=True).encode()
        key = self._key(endpoint_name)
        if etag:
            self._store.write(key, data, if_match=etag)
        else:
            self._store.write(key, data, if_absent=True)

    def end(self, endpoint_name: str, number: int, counts: Mapping[str, Counts]) -> None:
        """What was counted of a revision by its end; written again it is the same."""
        data = Ended(counts=dict(counts)).model_dump_json(exclude_defaults=True).encode()
        self._store.write(f"{self._folder}/{endpoint_name}/counted/{number}.json", data)

    def of_revisions(self, endpoint_name: str, present: Tally) -> Mapping[int, Mapping[str, Counts]]:
        """By revision and target, the present one's included."""
        prefix = f"{self._folder}/{endpoint_name}/counted/"
        found: dict[int, Mapping[str, Counts]] = {}
        for key, data in self._store.read_many([entry.key for entry in self._store.entries(prefix)]).items():
            number = key.removeprefix(prefix).removesuffix(".json")
            with suppress(ValidationError):
                if number.isdecimal():
                    found[int(number)] = Ended.model_validate_json(data).counts
        return found | ({present.revision: present.of_revision} if present.revision and present.of_revision else {})

    def _key(self, endpoint_name: str) -> str:
        return f"{self._folder}/{endpoint_name}/counted.json"
