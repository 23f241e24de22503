"""A training job as an algorithm sees it, and the frame `train` runs in.

`main` reads SageMaker's /opt/ml (moved by SAGEMAKER_BASE_DIR), connects the hosts, calls the
algorithm with a `Job`, and turns what it raises into output/failure and an exit code. The
algorithm leaves its model in `job.model_folder`; packing and storing it is the platform's part.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from types import FrameType
from typing import Any, Generic, NoReturn, TypeVar

import numpy as np

from toolkit.columns import Wanted
from toolkit.errors import ClientError
from toolkit.gate import DIVERGED, OVERFLOWS
from toolkit.hosts import Hosts
from toolkit.hyperparameters import H, read
from toolkit.signals import beside_signals

T = TypeVar("T")

STOPPED_EXIT_CODE = 143  # as the shell reports a process that SIGTERM ended


@dataclass(frozen=True)
class Channel:
    """A named input.

    In Pipe mode there are no files but a FIFO an epoch, `<folder>_<epoch>`; the algorithms here read the first only.
    """

    name: str
    folder: Path
    content_type: str
    input_mode: str = "File"
    replicated: bool = False  # every host has all of its files
    record_wrapped: bool = False  # each file comes inside a RecordIO record

    @property
    def is_pipe(self) -> bool:
        return self.input_mode == "Pipe"

    def paths(self) -> list[Path]:
        """What to open, in order, to read the whole channel once."""
        return [self.folder.with_name(f"{self.name}_0")] if self.is_pipe else self.files()

    def files(self) -> list[Path]:
        """The files that hold data, sorted."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path for path in found if not is_hidden(path.relative_to(self.folder)))


def is_hidden(path: PurePath) -> bool:
    """Whether a file of a channel holds no data: programs put their own things under names that begin with a dot or an
    underscore, files as well as folders. sagespec's `inputs` says the same of what it feeds to pipes."""
    return any(part.startswith((".", "_")) for part in path.parts)


@dataclass
class Stop:
    """Whether SIGTERM has come. Before `keep_model` SIGTERM ends the process at once; afterwards the algorithm ends."""

    requested: bool = False
    has_model: bool = False

    def keep_model(self) -> None:
        """From now on the algorithm checks `requested`, stops early and saves what it has."""
        self.has_model = True

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True
        if not self.has_model:
            print("stopped before there was a model to keep", flush=True)
            os._exit(STOPPED_EXIT_CODE)
        print("stopping early; the model so far is kept", flush=True)


@dataclass(frozen=True)
class Job(Generic[H]):
    """Everything an algorithm is given, and where it puts its model."""

    hyperparameters: H
    channels: Mapping[str, Channel]
    hosts: Hosts
    model_folder: Path
    output_folder: Path
    stop: Stop = field(default_factory=Stop)
    checkpoint_folder: Path | None = None
    columns: Wanted | None = None  # what the spec says of the channels' named columns; None: they have no names
    beside_model: dict[str, bytes] = field(default_factory=dict)  # files that are laid beside the model at the end

    def channel(self, name: str) -> Channel:
        if name in self.channels:
            return self.channels[name]
        given = ", ".join(self.channels) or "none"
        raise ClientError(f"channel {name} is required; given: {given}")


def main(train: Callable[[Job[H]], None], declaration: type[H]) -> NoReturn:
    """Run `train` for the job under /opt/ml and exit: 0, or 1 with output/failure written."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
    stop = Stop()
    signal.signal(signal.SIGTERM, stop.on_signal)
    # The algorithm may wait in C code for as long as another host is silent.
    exit_code = beside_signals(lambda: run(train, declaration, base, stop))
    sys.stdout.flush()
    os._exit(exit_code)


def run(train: Callable[[Job[H]], None], declaration: type[H], base: Path, stop: Stop) -> int:
    try:
        job = read_job(declaration, base, stop)
        with job.hosts.connected(), np.errstate(all="ignore"):  # what is not finite in the end, `gate` refuses
            train(job)
        if job.hosts.is_master:
            for name, content in job.beside_model.items():
                (job.model_folder / name).write_bytes(content)
    except ClientError as error:
        return fail(base, f"ClientError: {error}")
    except OVERFLOWS as error:
        return fail(base, f"ClientError: no model is saved: {error}; {DIVERGED}")
    except Exception as error:
        return fail(base, f"AlgorithmError: {type(error).__name__}: {error}\n\n{traceback.format_exc()}")
    return 0


def fail(base: Path, message: str) -> int:
    print(message, file=sys.stderr, flush=True)
    (base / "output").mkdir(parents=True, exist_ok=True)
    (base / "output" / "failure").write_text(message + "\n", encoding="utf-8")
    return 1


def read_job(declaration: type[H], base: Path, stop: Stop) -> Job[H]:
    """The job described under `base`. Raises ClientError for hyperparameters that do not fit."""
    config = base / "input" / "config"
    resources = read_json(config / "resourceconfig.json")
    current = resources.get("current_host", "algo-1")
    inputs = read_json(config / "inputdataconfig.json")
    columns = read_json(config / "columnsconfig.json")
    local_path = read_json(config / "checkpointconfig.json").get("LocalPath")
    job = Job(
        hyperparameters=read(declaration, read_json(config / "hyperparameters.json")),
        channels={
            name: Channel(
                name,
                base / "input" / "data" / name,
                settings.get("ContentType") or "",
                input_mode=settings.get("TrainingInputMode") or "File",
                record_wrapped=settings.get("RecordWrapperType") == "RecordIO",
                replicated=settings.get("S3DistributionType") == "FullyReplicated",
            )
            for name, settings in sorted(inputs.items())
        },
        hosts=Hosts(tuple(sorted(resources.get("hosts", [current]))), current),
        model_folder=base / "model",
        output_folder=base / "output" / "data",
        stop=stop,
        checkpoint_folder=Path(local_path) if local_path else None,
        columns=Wanted.of(columns) if columns else None,
    )
    job.model_folder.mkdir(parents=True, exist_ok=True)
    job.output_folder.mkdir(parents=True, exist_ok=True)
    return job


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`, empty if the platform wrote no such file."""
    if not path.exists():
        return {}
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ClientError(f"{path} is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ClientError(f"{path} holds {type(loaded).__name__}, not an object")
    return loaded
