"""CreateNotebookInstance and what follows: a spec of `kind: Notebook`, its changes, its removal, its address.

A lifecycle configuration is kept as it was sent; its on-start script becomes a file beside the code of jobs, which the
spec names.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sagespec.api.sagemaker.arns import arn_of, exists_already, invalid, records_of, tags_of
from sagespec.api.sagemaker.lists import page
from sagespec.api.sagemaker.records import KeptLifecycle, KeptNotebook
from sagespec.api.sagemaker.seen import status_of
from sagespec.api.sagemaker.specs import heading_of, said_of, source_dir, spelling_of
from sagespec.api.service import Request, Result, Service
from sagespec.documents.emit import emit
from sagespec.documents.files import CODE_FOLDER, MARK, remove, write
from sagespec.documents.places import file_for, find
from sagespec.records.holder import who_is_here
from sagespec.serve.notebooks import door_of
from sagespec.state.addresses import notebook_address
from sagespec.state.revision import RestartRequest
from sagespec.verbs.candidates import problems_with
from sagespec.verbs.notebook_states import NotebookState, NotebookWord

_STATUS = {
    NotebookWord.RUNNING: "InService",
    NotebookWord.PENDING: "Pending",
    NotebookWord.IDLE: "Stopped",
    NotebookWord.STOPPED: "Stopped",
    NotebookWord.DEAD: "Failed",
    NotebookWord.REFUSED: "Failed",
    NotebookWord.ORPHANED: "Deleting",
}
_NOT_HERE = ("DefaultCodeRepository", "AdditionalCodeRepositories", "AcceleratorTypes")


def create_notebook_instance(service: Service, request: Request) -> Result:
    name, now = request["NotebookInstanceName"], time.time()
    if missing := next((field for field in _NOT_HERE if request.get(field)), ""):
        raise invalid(f"sagespec has no {missing} of notebook instances: put what you need into the project's folder")
    with service.writing():
        there = spelling_of(service, "Notebook", name)
        if there != name or _there(service, name):
            raise exists_already(service, KeptNotebook, there)
        kept = KeptNotebook(request, now, now, tags_of(request.get("Tags")))
        _refuse_wrong(service, name, kept)
        records_of(service).create(name, kept)
        _write(service, name, kept, "CreateNotebookInstance")
    service.wake()
    return {"NotebookInstanceArn": arn_of(service, KeptNotebook, name)}


def describe_notebook_instance(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceName"]
    kept = _kept(service, name)
    seen = _seen(service, name)
    asked = {key: value for key, value in kept.request.items() if key not in ("Tags", "LifecycleConfigName")}
    return {
        **asked,
        "NotebookInstanceArn": arn_of(service, KeptNotebook, name),
        "NotebookInstanceStatus": _status(kept, seen),
        "FailureReason": seen.detail if seen and _status(kept, seen) == "Failed" else None,
        "Url": seen.url.removeprefix("http://") if seen and seen.url else None,
        "NotebookInstanceLifecycleConfigName": kept.request.get("LifecycleConfigName"),
        "CreationTime": kept.created_at,
        "LastModifiedTime": kept.modified_at,
    }


def list_notebook_instances(service: Service, request: Request) -> Result:
    summaries = []
    for name, kept in records_of(service).all(KeptNotebook).items():
        summaries.append(
            {
                "NotebookInstanceName": name,
                "NotebookInstanceArn": arn_of(service, KeptNotebook, name),
                "NotebookInstanceStatus": _status(kept, _seen(service, name)),
                "InstanceType": kept.request.get("InstanceType"),
                "CreationTime": kept.created_at,
                "LastModifiedTime": kept.modified_at,
            }
        )
    found = {"member": "NotebookInstances", "name": "NotebookInstanceName", "status": "NotebookInstanceStatus"}
    return page(request, summaries, **found)


def start_notebook_instance(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceName"]
    _require(service, name, "Stopped", "Failed")
    _change(service, name, "StartNotebookInstance", is_to_run=True)
    asked = RestartRequest(about=str(notebook_address(name)), by=who_is_here(), at=datetime.now(UTC))
    service.project.parts.records.write_restart(asked)  # of one that stopped because nobody used it
    service.wake()
    return {}


def stop_notebook_instance(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceName"]
    _require(service, name, "InService")
    _change(service, name, "StopNotebookInstance", is_to_run=False)
    service.wake()
    return {}


def update_notebook_instance(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceName"]
    _require(service, name, "Stopped", "Failed")
    changed = {key: value for key, value in request.items() if key != "NotebookInstanceName"}
    if changed.pop("DisassociateLifecycleConfig", False):
        changed["LifecycleConfigName"] = None
    _change(service, name, "UpdateNotebookInstance", changed=changed)
    service.wake()
    return {}


def delete_notebook_instance(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceName"]
    _kept(service, name)
    if find(service.specs, "Notebook", name):  # else somebody has removed it, or a kill came in between
        _require(service, name, "Stopped", "Failed")
    with service.writing():
        if file := find(service.specs, "Notebook", name):
            remove(file)
        records_of(service).delete(KeptNotebook, name)
    service.wake()
    return {}


def create_presigned_notebook_instance_url(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceName"]
    _require(service, name, "InService")
    door = door_of(service.project.root, name)
    return {"AuthorizedUrl": door.url_with_token if door else None}


def create_lifecycle_config(service: Service, request: Request) -> Result:
    name, now = request["NotebookInstanceLifecycleConfigName"], time.time()
    _script(request, "OnStart")
    if _script(request, "OnCreate"):
        raise invalid("sagespec runs no OnCreate script: what it does belongs into OnStart, or `packages` of the spec")
    if not records_of(service).create(name, KeptLifecycle(request, now, now)):
        raise exists_already(service, KeptLifecycle, name)
    return {"NotebookInstanceLifecycleConfigArn": arn_of(service, KeptLifecycle, name)}


def describe_lifecycle_config(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceLifecycleConfigName"]
    kept = _lifecycle(service, name)
    times = {"CreationTime": kept.created_at, "LastModifiedTime": kept.modified_at}
    return {**kept.request, **times, "NotebookInstanceLifecycleConfigArn": arn_of(service, KeptLifecycle, name)}


def list_lifecycle_configs(service: Service, request: Request) -> Result:
    summaries = [
        {
            "NotebookInstanceLifecycleConfigName": name,
            "NotebookInstanceLifecycleConfigArn": arn_of(service, KeptLifecycle, name),
            "CreationTime": kept.created_at,
            "LastModifiedTime": kept.modified_at,
        }
        for name, kept in records_of(service).all(KeptLifecycle).items()
    ]
    member, name = "NotebookInstanceLifecycleConfigs", "NotebookInstanceLifecycleConfigName"
    return page(request, summaries, member=member, name=name)


def delete_lifecycle_config(service: Service, request: Request) -> Result:
    name = request["NotebookInstanceLifecycleConfigName"]
    _lifecycle(service, name)
    records_of(service).delete(KeptLifecycle, name)
    return {}


def _there(service: Service, name: str) -> KeptNotebook | None:
    return records_of(service).read(KeptNotebook, name)


def _kept(service: Service, name: str) -> KeptNotebook:
    kept = _there(service, name)
    if kept is None:
        raise invalid("RecordNotFound")
    if not kept.is_written:  # a kill came in between
        with service.writing():
            _write(service, name, kept, "CreateNotebookInstance")
    return kept


def _lifecycle(service: Service, name: str) -> KeptLifecycle:
    kept = records_of(service).read(KeptLifecycle, name)
    if kept is None:
        raise invalid(f"Unable to describe Notebook Instance Lifecycle Config '{name}'. Details: RecordNotFound")
    return kept


def _seen(service: Service, name: str) -> NotebookState | None:
    status = status_of(service)
    rows = status.notebooks if status else ()
    return next((row for row in rows if row.address.name == name), None)


def _status(kept: KeptNotebook, seen: NotebookState | None) -> str:
    if seen is None:
        return "Pending" if kept.is_to_run else "Stopped"
    said = _STATUS[seen.state]
    if said == "InService" and not kept.is_to_run:
        return "Stopping"
    return "Pending" if said == "Stopped" and kept.is_to_run and seen.state is NotebookWord.STOPPED else said


def _require(service: Service, name: str, *statuses: str) -> None:
    found = _status(_kept(service, name), _seen(service, name))
    if found not in statuses:
        arn = arn_of(service, KeptNotebook, name)
        raise invalid(f"Status ({found}) not in ([{', '.join(statuses)}]). Unable to transition to it for ({arn})")


def _change(
    service: Service,
    name: str,
    operation: str,
    *,
    changed: Mapping[str, Any] | None = None,
    is_to_run: bool | None = None,
) -> None:
    with service.writing():
        kept = _kept(service, name)
        request = {key: value for key, value in {**kept.request, **(changed or {})}.items() if value is not None}
        runs = kept.is_to_run if is_to_run is None else is_to_run
        kept = replace(kept, request=request, is_to_run=runs, is_written=False, modified_at=time.time())
        _refuse_wrong(service, name, kept)
        records_of(service).change(KeptNotebook, name, lambda _: kept)
        _write(service, name, kept, operation)


def _refuse_wrong(service: Service, name: str, kept: KeptNotebook) -> None:
    document = _document(service, name, kept, writes=False)
    document.pop("on_start", None)  # its file is not there yet
    file = file_for(service.specs, "Notebook", name)
    if problems := problems_with(service.project.parts, emit(document), file):
        raise invalid(said_of(problems))


def _write(service: Service, name: str, kept: KeptNotebook, operation: str) -> None:
    text = emit(_document(service, name, kept, writes=True), heading=heading_of(operation, name))
    write(file_for(service.specs, "Notebook", name), text)
    records_of(service).change(KeptNotebook, name, lambda now: replace(now, is_written=True))


def _document(service: Service, name: str, kept: KeptNotebook, *, writes: bool) -> dict[str, Any]:
    document: dict[str, Any] = {"apiVersion": "sagespec/v1", "kind": "Notebook", "name": name}
    resources = service.settings.instance_types.get(kept.request.get("InstanceType", ""))
    if resources:
        document["resources"] = resources.model_dump(exclude_unset=True, exclude_none=True)
    if config := kept.request.get("LifecycleConfigName"):
        script = _script(_lifecycle(service, config).request, "OnStart")
        if script:
            file = service.project.root / CODE_FOLDER / f"notebook-{name}" / "on_start.sh"
            if writes:
                write(file, script if script.startswith(MARK) else f"{MARK} for {config}.\n{script}")
            document["on_start"] = source_dir(service, file)
    return document if kept.is_to_run else {**document, "running": False}


def _script(request: Mapping[str, Any], field: str) -> str:
    """The text of a lifecycle configuration's script; '' where it has none."""
    scripts = [one.get("Content", "") for one in request.get(field) or ()]
    try:
        return "\n".join(base64.b64decode(one, validate=True).decode() for one in scripts).strip()
    except (binascii.Error, UnicodeDecodeError):
        raise invalid(f"{field} is not the base64 of a script") from None
