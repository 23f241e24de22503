"""AddTags, ListTags, DeleteTags: kept with what they are of, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sagespec.api.sagemaker.arns import invalid, kind_and_name, records_of, tags_of
from sagespec.api.sagemaker.records import Kept, clock
from sagespec.api.service import Request, Result, Service

_MOST = 50


def add_tags(service: Service, request: Request) -> Result:
    new = tags_of(request["Tags"])
    tags = _changed(service, request["ResourceArn"], lambda before: {**before, **new})
    return {"Tags": _as_list(tags)}


def list_tags(service: Service, request: Request) -> Result:
    """None for what is not kept here: clients ask for those of a thing before they copy it."""
    found = kind_and_name(request["ResourceArn"])
    kept = records_of(service).read(*found) if found else None
    return {"Tags": _as_list(dict(kept.tags)) if kept else []}


def delete_tags(service: Service, request: Request) -> Result:
    gone = set(request["TagKeys"])
    _changed(service, request["ResourceArn"], lambda before: {k: v for k, v in before.items() if k not in gone})
    return {}


def _changed(service: Service, arn: str, change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, str]:
    def changed(kept: Kept) -> Kept:
        tags = change(dict(kept.tags))
        if len(tags) > _MOST:
            raise invalid(f"{arn} would have {len(tags)} tags, and may have {_MOST}")
        return replace(kept, tags=tags, modified_at=clock())

    found = kind_and_name(arn)
    kept = records_of(service).change(*found, changed) if found else None
    if kept is None:
        raise invalid(f"Could not find resource {arn}")
    return dict(kept.tags)


def _as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
