"""The parts of an open project: settings, engine, store, records, gateway, inputs, made when first needed.

`project` holds one `Parts`; every verb acts on it. The parts follow from sagespec.yaml, so they are forgotten when it
changes (`read_settings_again`), and each is made again when it is next needed. The engine is kept while `runtime` is.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast, overload

from sagespec.errors import SpecError, WorldError
from sagespec.gateway.gateway import Gateway
from sagespec.inputs.cache import Cache
from sagespec.inputs.delivery import Inputs
from sagespec.load.load import load
from sagespec.private import close_to_others
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.resolve.builtins import ImageDescription, describe_images
from sagespec.run.jobs import Jobs
from sagespec.run.metrics import Patterns
from sagespec.runtimes.choose import choose, images_dir
from sagespec.runtimes.protocol import Runtime, Use
from sagespec.scratch import own_folder
from sagespec.sources.git import GitFound, find_commit
from sagespec.spec.project import ProjectSettings
from sagespec.state.desired import DesiredChannel
from sagespec.state.manifest import Git
from sagespec.state.owner import Owner
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Entry, Store
from sagespec.stores.waits import ToldStore, Waits
from sagespec.world import World

RuntimeChoice = Literal["auto", "docker", "process"]
Value = TypeVar("Value")
GOING_ON = ("apply", "watch")  # from what their specs say then, once a job has ended; other runs are done with it


class Part(Generic[Value]):
    """An attribute of `Parts` that is made when first read and kept until the settings change."""

    def __init__(self, make: Callable[[Any], Value]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, parts: None, owner: type) -> Part[Value]: ...
    @overload
    def __get__(self, parts: Parts, owner: type) -> Value: ...
    def __get__(self, parts: Parts | None, owner: type) -> Part[Value] | Value:
        if parts is None:
            return self
        return cast("Value", parts.made(self, self._make))


class Parts:
    """What the verbs act on. specs: files and folders to load. runtime overrides the setting of sagespec.yaml."""

    def __init__(self, root: Path, specs: Sequence[Path] = (), runtime: RuntimeChoice | None = None) -> None:
        self.root = root
        self.specs = tuple(specs) or (root / "specs",)
        self.runtime_reason = ""
        self.waits = Waits(lambda _: None)
        self._runtime_choice = runtime
        self._settings: ProjectSettings | None = None
        self._made: dict[object, object] = {}
        self._making = threading.RLock()  # `watch` asks for the engine from two threads
        self._engines = ExitStack()
        self._folders = ExitStack()
        close_to_others(root)

    def close(self) -> None:
        """Let go of the engine. Everything keeps running there."""
        with self._making:
            self._engines.close()
            self._folders.close()
            self._made.clear()

    def made(self, part: object, make: Callable[[Any], object]) -> object:
        with self._making:
            if part not in self._made:
                self._made[part] = make(self)
            return self._made[part]

    # -- settings ----------------------------------------------------------------------------------

    @property
    def settings(self) -> ProjectSettings:
        """The Project document of sagespec.yaml."""
        if self._settings is None:
            self._settings = load([], self.root, check_paths=False).project
        return self._settings

    def read_settings_again(self) -> None:
        """Use an edited sagespec.yaml from here on: what follows from it is made again.

        SpecError when it is wrong or has another name: a project cannot change its name while it is open.
        """
        before, now = self.settings, load([], self.root, check_paths=False).project
        if now.name != before.name:
            raise SpecError(
                f"the project is now called {now.name}; it was {before.name}",
                why="its containers and records carry its name",
                fix="restore the name, or run `sagespec destroy` under the old name first",
            )
        # As written: to write a default out is a change, since a port that is set is not left for another.
        if now.model_dump(exclude_unset=True) != before.model_dump(exclude_unset=True):
            self._use(now)

    def _use(self, settings: ProjectSettings) -> None:
        with self._making:
            kept: set[object] = {Parts.images, Parts.metrics_of_builtins, Parts.scratch}
            if self._runtime_choice or settings.runtime == self.settings.runtime:
                kept.add(Parts.runtime)
            else:
                self._engines.close()
            self._settings = settings
            self._made = {part: made for part, made in self._made.items() if part in kept}

    # -- engine ------------------------------------------------------------------------------------

    @Part
    def runtime(self) -> Runtime:
        """The engine; `runtime_reason` then says which one it is and why."""
        wanted = self._runtime_choice or self.settings.runtime
        chosen, self.runtime_reason = choose(
            wanted, self.settings.name, self.root, last=self.last_runtime(), marks=self._marks
        )
        return self._engines.enter_context(chosen)

    @Part
    def able(self) -> set[Use]:
        """What the engine was found able to start; one that has become unable since is told when it starts."""
        return set()

    @Part
    def fingerprints(self) -> dict[DesiredChannel, tuple[tuple[Entry, ...], str]]:
        """Of data that was read to see whether it is another: a file that is as it was is not read again."""
        return {}

    def last_runtime(self) -> str:
        """The runtime of the last apply, so that `auto` stays with it; '' before the first."""
        return self.last_runtime_file.read_text().strip() if self.last_runtime_file.is_file() else ""

    @property
    def last_runtime_file(self) -> Path:
        return self.root / ".sagespec" / "runtime"

    @Part
    def images(self) -> Mapping[str, ImageDescription]:
        """The built-ins by name."""
        return describe_images(images_dir())

    @Part
    def metrics_of_builtins(self) -> Mapping[str, Patterns]:
        """The metrics that each built-in declares to print."""
        return {
            name: [(metric.name, re.compile(metric.regex).search) for metric in description.metrics]
            for name, description in self.images.items()
        }

    @Part
    def gateway(self) -> Gateway:
        return Gateway(self.runtime, self.settings.name, self.settings.gateway)

    @property
    def gateway_url(self) -> str:
        """Where the gateway listens, for people: http://127.0.0.1:8080. Where no port is set the engine is asked, and
        when that does not answer it is the usual one."""
        settings = self.settings.gateway
        if settings.sets_port:
            return settings.url
        try:
            return self.gateway.find().url
        except WorldError:
            return settings.url

    # -- store and folders -------------------------------------------------------------------------

    @Part
    def store(self) -> Store:
        return ToldStore(open_store(self.settings.store, root=self.root), self.waits)

    @Part
    def records(self) -> Records:
        return Records(self.store, self.settings.name)

    @property
    def owner(self) -> Owner:
        """Whose containers those are that this checkout makes."""
        return Owner(self.records.store_id(), self.store.uri, socket.gethostname(), str(self.root.resolve()))

    def _marks(self) -> Mapping[str, str]:
        self.records.make_store_id()
        return self.owner.labels

    @Part
    def scratch(self) -> Path:
        """A folder of this process for what may be lost, on the disk of the project."""
        return self._folders.enter_context(own_folder(self.root / ".sagespec" / "tmp"))

    @Part
    def cache(self) -> Cache:
        """Data fetched from S3."""
        return Cache(self.root / ".sagespec" / "cache", self.settings.cache_size)

    @Part
    def inputs(self) -> Inputs:
        return Inputs(self.runtime, self.root, self.cache, self.root / ".sagespec" / "channels")

    # -- all together ------------------------------------------------------------------------------

    def leases(self, command: str = "") -> Leases:
        """Who is at work, as one run sees it and takes part in it. command: of the run."""
        specs = " ".join(str(path.resolve()) for path in (self.root, *self.specs)) if command in GOING_ON else ""
        return Leases(self.store, self.settings.name, command=command, specs=specs)

    def find_commit(self) -> GitFound:
        """The commit of the project. A store in its folder, and all that sagespec keeps there, is no change."""
        store, root = Path(self.store.uri.removeprefix("file://")), self.root.resolve()
        inside = [store.relative_to(root).as_posix()] if root in store.parents else []
        return find_commit(root, ours=[".sagespec", *inside])

    def _git(self) -> Git | None:
        return self.find_commit().git

    def world(self, leases: Leases) -> World:
        """Everything that actions act on, as of now."""
        jobs = Jobs(
            self.runtime, self.records, self.inputs, self.metrics_of_builtins, self.root, self.scratch, self._git
        )
        return World(self.runtime, self.gateway, self.records, leases, jobs, self.root, self.scratch, self._git)
