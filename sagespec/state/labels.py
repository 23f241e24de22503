"""Labels by which an engine's containers are found, and their names.

The runtimes write labels and read them back into `Container`s; a name follows from address and hash, so that a
repeated create finds the container instead of making a second one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sagespec.state.addresses import Address

LABEL_PROJECT = "sagespec.project"
LABEL_KIND = "sagespec.kind"
LABEL_NAME = "sagespec.name"
LABEL_VERSION = "sagespec.version"
LABEL_KEY = "sagespec.key"
LABEL_VARIANT = "sagespec.variant"
LABEL_INSTANCE = "sagespec.instance"
LABEL_HASH = "sagespec.hash"
LABEL_CPUS = "sagespec.cpus"
LABEL_MEMORY = "sagespec.memory"
LABEL_GPUS = "sagespec.gpus"
LABEL_SECRETS = "sagespec.secrets"  # the names of those it was given, so that its lines are shown without them
LABEL_MODEL = "sagespec.model"  # for people: `docker ps` shows what an instance serves; it decides nothing


def labels_of(project_name: str, address: Address, hash_text: str) -> dict[str, str]:
    """The labels of one container; a job's hash is its key."""
    labels = {
        LABEL_PROJECT: project_name,
        LABEL_KIND: address.kind,
        LABEL_NAME: address.name,
        LABEL_VERSION: str(address.version) if address.version else "",
        LABEL_VARIANT: address.variant,
        LABEL_INSTANCE: "" if address.instance is None else str(address.instance),
        LABEL_KEY if address.kind == "job" else LABEL_HASH: hash_text,
    }
    return {label: text for label, text in labels.items() if text}


def resource_labels(cpus: float | None, memory: int | None, gpus: Sequence[str]) -> dict[str, str]:
    """What a container was given, as labels: a list of containers shows nothing else of it."""
    labels = {
        LABEL_CPUS: "" if cpus is None else f"{cpus:g}",
        LABEL_MEMORY: "" if memory is None else str(memory),
        LABEL_GPUS: ",".join(gpus),
    }
    return {label: text for label, text in labels.items() if text}


def resources_from_labels(labels: Mapping[str, str]) -> tuple[float | None, int | None, tuple[str, ...]]:
    """CPUs, bytes of memory and ids of GPUs; None and () where a label is missing or damaged."""
    cpus, memory = labels.get(LABEL_CPUS, ""), labels.get(LABEL_MEMORY, "")
    return (
        float(cpus) if re.fullmatch(r"\d+(\.\d+)?", cpus) else None,
        int(memory) if memory.isdecimal() else None,
        tuple(gpu for gpu in labels.get(LABEL_GPUS, "").split(",") if gpu),
    )


def address_from_labels(labels: Mapping[str, str]) -> tuple[Address, str] | None:
    """Address and hash of a container from its labels; None when they are not ours or are damaged."""
    kind = labels.get(LABEL_KIND, "")
    try:
        instance = labels.get(LABEL_INSTANCE)
        address = Address(
            kind,  # type: ignore[arg-type]  # checked on the next line
            labels.get(LABEL_NAME, ""),
            int(labels.get(LABEL_VERSION, 0)),
            labels.get(LABEL_VARIANT, ""),
            int(instance) if instance is not None else None,
        )
        Address.parse(str(address))
    except ValueError:
        return None
    return address, labels.get(LABEL_KEY if kind == "job" else LABEL_HASH, "")


def container_name(project_name: str, address: Address, hash_text: str) -> str:
    """The one name a container can have: a repeated create finds it instead of doubling it.

    Names are case-sensitive in the engines, hold only what Docker allows, and end in part of the
    hash, so that old and new instances of a variant stand side by side.

    >>> container_name("acme", Address.parse("endpoint/churn/a#0"), "1-0123456789abcdef-fedcba987654")
    'sagespec_acme_endpoint_churn_a_0_0123456789ab-fedcba98'
    """
    parts = ["sagespec", project_name, address.kind, address.name]
    parts += [f"v{address.version}"] if address.version else []
    parts += [address.variant] if address.variant else []
    parts += [str(address.instance)] if address.instance is not None else []
    _, digits, model, secrets = (*hash_text.split("-"), "", "", "")[:4]
    parts += ["-".join(part for part in (digits[:12], model[:8], secrets) if part)]
    return "_".join(part for part in parts if part)
