"""Whose the containers of a project are: the store that knows of them, and the checkout that made them.

Two checkouts of one project, each with a store of its own, would undo each other's work on one engine. So containers
carry their owner as labels; those of an earlier release carry none, and belong to whoever finds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

LABEL_STORE = "sagespec.store"
LABEL_STORE_ADDRESS = "sagespec.store-address"
LABEL_HOST = "sagespec.host"
LABEL_CHECKOUT = "sagespec.checkout"


@dataclass(frozen=True, order=True)
class Owner:
    """store: its id, which moves and is copied with it; '' before it has one. address: of the store. checkout: the
    folder of sagespec.yaml on `host`."""

    store: str
    address: str
    host: str
    checkout: str

    @property
    def labels(self) -> Mapping[str, str]:
        return {
            LABEL_STORE: self.store,
            LABEL_STORE_ADDRESS: self.address,
            LABEL_HOST: self.host,
            LABEL_CHECKOUT: self.checkout,
        }

    def is_same_as(self, other: Owner, address_now: Callable[[str], str]) -> bool:
        """Whether what the other has made is ours. address_now: of the store that a checkout on this host uses today,
        '' where it is gone.

        A store may have been moved, copied or made again: a checkout that was used here says itself which one it has.
        """
        if other.host == self.host:
            return other.checkout == self.checkout or address_now(other.checkout) in ("", self.address)
        is_shared = other.address == self.address and not self.address.startswith("file://")
        return is_shared or (bool(other.store) and other.store == self.store)


def owner_from_labels(labels: Mapping[str, str]) -> Owner | None:
    """None for a container of an earlier release."""
    if LABEL_CHECKOUT not in labels:
        return None
    return Owner(*(labels.get(label, "") for label in (LABEL_STORE, LABEL_STORE_ADDRESS, LABEL_HOST, LABEL_CHECKOUT)))
