"""CreateEndpoint and what follows: a spec of the endpoint, its changes, its removal."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sagespec.api.sagemaker.arns import arn_of, exists_already, invalid, not_found, records_of, tags_of
from sagespec.api.sagemaker.by_specs import endpoint_of_specs, endpoints_of_specs, place_of, specs_of
from sagespec.api.sagemaker.endpoint_status import (
    EndpointSeen,
    described,
    shape_of,
    state_from_history,
    words_of,
)
from sagespec.api.sagemaker.lists import page
from sagespec.api.sagemaker.models import models_of
from sagespec.api.sagemaker.records import KeptConfig, KeptEndpoint, clock
from sagespec.api.sagemaker.seen import status_of
from sagespec.api.sagemaker.setting import engine_of
from sagespec.api.sagemaker.specs import (
    document_of,
    endpoint_file,
    heading_of,
    problems_of,
    remove_endpoint_file,
    said_of,
    spelling_of,
    write_endpoint,
)
from sagespec.api.sagemaker.translate.endpoints import ServedModel, endpoint_document, with_weights
from sagespec.api.sagemaker.translate.refusal import Refused
from sagespec.api.sagemaker.translate.rollouts import about_alarms, with_rollout
from sagespec.api.service import Request, Result, Service
from sagespec.records.holder import who_is_here
from sagespec.state.addresses import endpoint_address
from sagespec.state.revision import RemovalRequest, RetryRequest, RevisionStatus, live_revision
from sagespec.stores.protocol import Conflict

_MOST_REMEMBERED = 20  # configs that an endpoint was asked to serve
_IN_PROGRESS = ("Creating", "Updating", "RollingBack")


def create_endpoint(service: Service, request: Request) -> Result:
    name, now = request["EndpointName"], clock()
    _refuse_where_it_is(service, name, _there(service, name))
    config = _config(service, request["EndpointConfigName"])
    models = models_of(service, config)  # before anybody has to wait for us: one may have to be fetched
    with service.writing():
        before = _there(service, name)
        _refuse_where_it_is(service, name, before)
        document, images = _document(service, name, config, models, None)
        document, deployment = _rolled_out(document, request, None)
        about = (*_about(models), about_alarms(deployment))
        heading = heading_of("CreateEndpoint", name, f"config {request['EndpointConfigName']}", *about)
        _refuse_wrong(service, document, heading)
        asked = _asked(request["EndpointConfigName"], document, images, now, deployment=deployment)
        kept = KeptEndpoint(request, now, now, tags_of(request.get("Tags")), (asked,), document, heading)
        service.project.parts.records.forget_removal(name)
        if before:
            records_of(service).change(KeptEndpoint, name, lambda _: kept)
        elif not records_of(service).create(name, kept):
            raise exists_already(service, KeptEndpoint, name)
        write_endpoint(service, name, kept)
    service.wake()
    return {"EndpointArn": arn_of(service, KeptEndpoint, name)}


def update_endpoint(service: Service, request: Request) -> Result:
    name, config_name = request["EndpointName"], request["EndpointConfigName"]
    _changeable(service, name)
    config = _config(service, config_name)
    models = models_of(service, config)
    with service.writing():
        kept = _changeable(service, name)
        before = document_of(service, name)
        document, images = _document(service, name, config, models, before)
        if request.get("RetainAllVariantProperties"):
            document = _retained(document, before, request.get("ExcludeRetainedVariantProperties") or ())
        document, deployment = _rolled_out(document, request, kept.deployment)
        heading = heading_of("UpdateEndpoint", name, f"config {config_name}", *_about(models), about_alarms(deployment))
        _ask_for_another_try(service, name)
        asked = _asked(config_name, document, images, clock(), deployment=deployment)
        _write(service, name, kept, document, heading, asked=asked)
    service.wake()
    return {"EndpointArn": arn_of(service, KeptEndpoint, name)}


def update_endpoint_weights_and_capacities(service: Service, request: Request) -> Result:
    name = request["EndpointName"]
    with service.writing():
        kept = _changeable(service, name)
        try:
            document = with_weights(document_of(service, name), request["DesiredWeightsAndCapacities"])
        except Refused as refused:
            raise invalid(str(refused)) from None
        heading = heading_of("UpdateEndpointWeightsAndCapacities", name, *kept.heading[1:])
        images = kept.asked[-1].get("images", {})
        asked = _asked(kept.config_name, document, images, clock(), deployment=kept.deployment)
        _write(service, name, kept, document, heading, asked=asked)
    service.wake()
    return {"EndpointArn": arn_of(service, KeptEndpoint, name)}


def describe_endpoint(service: Service, request: Request) -> Result:
    name = request["EndpointName"]
    kept = _there(service, name) or endpoint_of_specs(service, name)
    if kept is None:
        raise not_found(service, KeptEndpoint, name)
    found = described(kept, _seen(service, name, kept), datetime.now(UTC))
    return {"EndpointName": name, "EndpointArn": arn_of(service, KeptEndpoint, name), **found}


def list_endpoints(service: Service, request: Request) -> Result:
    there = {name: kept for name in records_of(service).all(KeptEndpoint) if (kept := _there(service, name))}
    summaries = []
    for name, kept in (*there.items(), *endpoints_of_specs(service, there)):
        found = described(kept, _seen(service, name, kept), datetime.now(UTC))
        said = {key: found[key] for key in ("EndpointStatus", "CreationTime", "LastModifiedTime")}
        summaries.append({"EndpointName": name, "EndpointArn": arn_of(service, KeptEndpoint, name), **said})
    return page(request, summaries, member="Endpoints", name="EndpointName", status="EndpointStatus")


def delete_endpoint(service: Service, request: Request) -> Result:
    """Its spec goes, and it itself, whether or not the loop prunes. A kill in between is made good by the next look."""
    name = request["EndpointName"]
    with service.writing():
        kept = _kept(service, name)
        if kept.deleting_since is None:
            _refuse_protected(service, name)
            kept = _changed(service, name, kept, deleting_since=clock())
        _take_away(service, name)
    service.wake()
    return {}


def _kept(service: Service, name: str) -> KeptEndpoint:
    kept = _there(service, name)
    if kept is None and (place := place_of(service, endpoint_address(name))):
        raise invalid(f"endpoint/{name} was not created by a client: it is in {place}, so change or remove it there")
    if kept is None:
        raise not_found(service, KeptEndpoint, name)
    return kept


def _there(service: Service, name: str) -> KeptEndpoint | None:
    """The endpoint's record, with what a kill has kept from being done, or None once the endpoint has gone."""
    kept = records_of(service).read(KeptEndpoint, name)
    if kept is None or (kept.is_written and kept.deleting_since is None):
        return kept
    with service.writing():
        kept = records_of(service).read(KeptEndpoint, name)
        if kept and kept.deleting_since is not None:
            if endpoint_file(service, name):  # a kill came in between
                _take_away(service, name)
            if _has_gone(service, name, kept.deleting_since):
                _end_history(service, name)
                records_of(service).delete(KeptEndpoint, name)
                return None
        elif kept and not kept.is_written:
            kept = write_endpoint(service, name, kept)
    return kept


def _take_away(service: Service, name: str) -> None:
    records = service.project.parts.records
    revisions = records.revisions([name]).get(name, ())
    after = revisions[-1].number if revisions else 0
    records.write_removal(RemovalRequest(endpoint=name, after=after, by=who_is_here(), at=datetime.now(UTC)))
    remove_endpoint_file(service, name)


def _ask_for_another_try(service: Service, name: str) -> None:
    """Whoever asks for what has failed asks for another try of it: a new request is none that was given up."""
    records = service.project.parts.records
    newest = next(reversed(records.revisions([name]).get(name, ())), None)
    if newest and newest.status is RevisionStatus.FAILED:
        retry = RetryRequest(endpoint=name, after=newest.number, by=who_is_here(), at=datetime.now(UTC))
        records.write_retry(retry)


def _has_gone(service: Service, name: str, since: float) -> bool:
    """Whether nothing is left of it, and its history says so, if it had one."""
    status, parts = status_of(service), service.project.parts
    if status is None or status.at.timestamp() < since or any(one.address.name == name for one in status.endpoints):
        return False
    about = endpoint_address(name)
    if any(container.address.whole == about for container in parts.runtime.containers()):
        return False
    return live_revision(parts.records.revisions([name]).get(name, ())) is None


def _end_history(service: Service, name: str) -> None:
    """What has failed before is tried again under this name: a new endpoint is none that was given up."""
    records = service.project.parts.records
    records.forget_removal(name)
    newest = next(reversed(records.revisions([name]).get(name, ())), None)
    if newest and newest.status is RevisionStatus.FAILED:
        now = datetime.now(UTC)
        removed = {"number": newest.number + 1, "status": RevisionStatus.REMOVED, "started_at": now, "ended_at": now}
        with suppress(Conflict):  # another run has recorded something since
            records.write_revision(newest.model_copy(update={**removed, "reason": ""}))


def _refuse_where_it_is(service: Service, name: str, before: KeptEndpoint | None) -> None:
    if before and before.deleting_since is None:
        raise exists_already(service, KeptEndpoint, name)
    if (there := spelling_of(service, "Endpoint", name)) != name:  # names of AWS ignore case, too
        raise exists_already(service, KeptEndpoint, there)
    if before is None and endpoint_file(service, name) is None and endpoint_address(name) in specs_of(service):
        arn = arn_of(service, KeptEndpoint, name)
        raise invalid(f'Cannot create already existing endpoint "{arn}": it is in the project\'s specs')


def _changeable(service: Service, name: str) -> KeptEndpoint:
    kept = _kept(service, name)
    status = words_of(kept, _seen(service, name, kept)).status
    if status in _IN_PROGRESS or status == "Deleting":
        raise invalid(f'Cannot update in-progress endpoint "{arn_of(service, KeptEndpoint, name)}".')
    if endpoint_file(service, name) is None:
        raise invalid(f"the spec of endpoint/{name} is not one that sagespec api has written: change it there")
    return kept


def _refuse_protected(service: Service, name: str) -> None:
    revisions = service.project.parts.records.revisions([name]).get(name, ())
    live = live_revision(revisions)
    if (live and live.asked.protect) or document_of(service, name).get("protect"):
        raise invalid(
            f"endpoint/{name} is protected, so it is not deleted: set protect: false in its spec, and let it be applied"
        )


def _config(service: Service, name: str) -> Mapping[str, Any]:
    kept = records_of(service).read(KeptConfig, name)
    if kept is None:
        raise not_found(service, KeptConfig, name)
    return kept.request


def _about(models: Mapping[str, ServedModel]) -> list[str]:
    """What there is to say of the models."""
    return sorted({model.about for model in models.values()})


def _document(
    service: Service,
    name: str,
    config: Mapping[str, Any],
    models: Mapping[str, ServedModel],
    before: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The endpoint's spec, and the images that its models name, by variant."""
    images = {one["VariantName"]: models[one["ModelName"]].container["Image"] for one in config["ProductionVariants"]}
    try:
        return endpoint_document(name, config, models, engine_of(service), before=before), images
    except Refused as refused:
        raise invalid(str(refused)) from None


def _retained(document: Mapping[str, Any], before: Mapping[str, Any], excluded: Any) -> dict[str, Any]:
    """The document with the weights and counts that variants of the same name have now."""
    out = {one["VariantPropertyType"] for one in excluded}
    fields = [f for f, kind in (("weight", "DesiredWeight"), ("instances", "DesiredInstanceCount")) if kind not in out]
    now = {variant["name"]: variant for variant in before["variants"]}
    variants = []
    for variant in document["variants"]:
        old = now.get(variant["name"])
        kept = {key: value for key, value in variant.items() if not old or key not in fields}
        variants.append(kept | ({key: old[key] for key in fields if key in old} if old else {}))
    return {**document, "variants": variants}


def _write(
    service: Service,
    name: str,
    kept: KeptEndpoint,
    document: Mapping[str, Any],
    heading: tuple[str, ...],
    *,
    asked: Mapping[str, Any],
) -> None:
    _refuse_wrong(service, document, heading)
    changes = {"document": document, "heading": heading, "is_written": False, "modified_at": asked["at"]}
    kept = _changed(service, name, kept, asked=(*kept.asked, asked)[-_MOST_REMEMBERED:], **changes)
    write_endpoint(service, name, kept)


def _asked(
    config_name: str,
    document: Mapping[str, Any],
    images: Mapping[str, str],
    now: float,
    *,
    deployment: Mapping[str, Any] | None,
) -> dict[str, Any]:
    found = {"config": config_name, "at": now, "variants": shape_of(document), "images": dict(images)}
    return found | ({"deployment": deployment} if deployment else {})


def _rolled_out(
    document: Mapping[str, Any], request: Mapping[str, Any], last: Mapping[str, Any] | None
) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """The document with how it is rolled out, and the DeploymentConfig that this is from, if one."""
    given, retain = request.get("DeploymentConfig"), bool(request.get("RetainDeploymentConfig"))
    try:
        return with_rollout(document, given, last=last, retain=retain), given or (last if retain else None)
    except Refused as refused:
        raise invalid(str(refused)) from None


def _refuse_wrong(service: Service, document: Mapping[str, Any], heading: tuple[str, ...]) -> None:
    if problems := problems_of(service, document, heading):
        raise invalid(said_of(problems))


def _changed(service: Service, name: str, kept: KeptEndpoint, **changes: Any) -> KeptEndpoint:
    now = records_of(service).change(KeptEndpoint, name, lambda one: replace(one, **changes))
    return now or replace(kept, **changes)


def _seen(service: Service, name: str, kept: KeptEndpoint) -> EndpointSeen:
    status, about = status_of(service), endpoint_address(name)
    if status is None:  # some spec is wrong, perhaps: what serves does so all the same
        revisions = service.project.parts.records.revisions([name]).get(name, ())
        return EndpointSeen(state_from_history(about, kept, revisions), is_old=not revisions)
    state = next((one for one in status.endpoints if one.address == about), None)
    return EndpointSeen(state, is_old=status.at.timestamp() < kept.modified_at)
