"""The parts of an open project: settings, engine, store, records, gateway, inputs, made when first needed.

`project` holds one `Parts`; every verb acts on it. The parts follow from sagespec.yaml, so they are forgotten when it
changes (`read_settings_again`), and each is made again when it is next needed. The engine is kept while `runtime` is.
What a part is made of is imported with it: most commands need few of them.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagespec.errors import Origin, Problem, SpecError, WorldError
from sagespec.load.environments import chosen, environment_files
from sagespec.load.load import load, load_what_is_right, specs_of
from sagespec.load.loaded import PROJECT_FILE, Loaded
from sagespec.part import Part
from sagespec.private import NAME, close_to_others, kept_in
from sagespec.records.leases import Leases
from sagespec.records.records import Records
from sagespec.records.run_by import run_by
from sagespec.records.salt import salt_of
from sagespec.resolve.builtins import ImageDescription, describe_images
from sagespec.runtimes.choose import choose, images_dir
from sagespec.runtimes.protocol import Runtime, Use
from sagespec.scratch import own_folder
from sagespec.sources.git import GitFound, find_commit
from sagespec.spec.environment import ENVIRONMENT_VARIABLE
from sagespec.spec.project import ProjectSettings
from sagespec.spec.runtimes import RuntimeChoice
from sagespec.spec.secrets import SecretSource
from sagespec.state.desired import DesiredChannel
from sagespec.state.manifest import Git
from sagespec.state.owner import Owner
from sagespec.stores.open import open_store
from sagespec.stores.protocol import Entry, Store
from sagespec.stores.waits import ToldStore, Waits
from sagespec.traffic.history import History

if TYPE_CHECKING:
    from sagespec.gateway.gateway import Gateway
    from sagespec.inputs.cache import Cache
    from sagespec.inputs.delivery import Inputs
    from sagespec.run.metrics import Patterns
    from sagespec.secrets.secrets import Secrets
    from sagespec.world import World

GOING_ON = ("apply", "watch")  # from what their specs say then, once a job has ended; other runs are done with it


class Parts:
    """What the verbs act on. specs: files and folders to load. runtime overrides the setting of sagespec.yaml.

    state_dir: where the folder `.sagespec` is, and a store on the disk that is named by a relative path; beside
    sagespec.yaml where none is given. environment: '' for none; None for the one that SAGESPEC_ENV names.

    secrets: in place of those that sagespec.yaml names, where it is not to be trusted with that.
    """

    def __init__(
        self,
        root: Path,
        specs: Sequence[Path] = (),
        runtime: RuntimeChoice | None = None,
        *,
        state_dir: Path | None = None,
        environment: str | None = None,
        secrets: Mapping[str, SecretSource] | None = None,
    ) -> None:
        self.root = root
        self.home = root if state_dir is None else state_dir
        self.environment = os.environ.get(ENVIRONMENT_VARIABLE, "") if environment is None else environment
        self.given_specs = tuple(specs)
        self.given_secrets = secrets
        self.runtime_reason = ""
        self.waits = Waits(lambda _: None)
        self.traffic = History()  # of the gateway's counters, while `watch` runs in this process
        self.runtime_choice = runtime
        self._settings: ProjectSettings | None = None
        self._made: dict[object, object] = {}
        self._making = threading.RLock()  # `watch` asks for the engine from two threads
        self._engines = ExitStack()
        self._folders = ExitStack()
        close_to_others(self.home)

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

    # -- specs and settings ------------------------------------------------------------------------

    @property
    def specs(self) -> tuple[Path, ...]:
        """The files and folders to load."""
        return self.given_specs or specs_of(self.root, self.environment)

    def load(self) -> Loaded:
        """The specs as they are in the environment. SpecError with every problem of every file."""
        loaded = load(self.specs, self.root, environment=self.environment, check_paths=False)
        return replace(loaded, project=self._with_secrets(loaded.project))

    def load_what_is_right(self) -> tuple[Loaded, list[Problem]]:
        """The specs that can be understood, and what is wrong with the others."""
        loaded, problems = load_what_is_right(self.specs, self.root, self.environment)
        return replace(loaded, project=self._with_secrets(loaded.project)), problems

    def _with_secrets(self, project: ProjectSettings) -> ProjectSettings:
        given = self.given_secrets
        return project if given is None else project.model_copy(update={"secrets": dict(given)})

    @property
    def settings(self) -> ProjectSettings:
        """The Project document of sagespec.yaml, as it is in the environment."""
        if self._settings is None:
            self._settings = self._read_settings()
        return self._settings

    def _read_settings(self) -> ProjectSettings:
        found = load([], self.root, environment=self.environment, check_paths=False).project
        if found.require_environment and not self.environment:
            names = ", ".join(environment_files(self.root)) or "none yet, in environments/"
            raise SpecError(
                "no environment is chosen",
                why="sagespec.yaml says require_environment: true",
                fix=f"name one with --env or {ENVIRONMENT_VARIABLE}; there are {names}",
            )
        return self._with_secrets(found)

    @property
    def settings_origins(self) -> Mapping[str, Origin]:
        """Where each of the settings is."""
        return load([], self.root, environment=self.environment, check_paths=False).project_origins

    @property
    def settings_files(self) -> tuple[Path, ...]:
        """Those that say what the settings are, and what differs in the environment."""
        found = environment_files(self.root).get(self.environment)
        return (self.root / PROJECT_FILE, *([found] if found else []))

    def read_settings_again(self) -> None:
        """Use an edited sagespec.yaml from here on: what follows from it is made again.

        SpecError when it is wrong or has another name: a project cannot change its name while it is open.
        """
        before, now = self.settings, self._read_settings()
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
            if settings.runtime == self.settings.runtime or (self.runtime_choice and not settings.swarm):
                kept.add(Parts.runtime)
            else:
                self._engines.close()
            self._settings = settings
            self._made = {part: made for part, made in self._made.items() if part in kept}

    def move_to(self, root: Path) -> None:
        """Use the project as it is in another folder from here on: a later commit of it. SpecError, and nothing is
        changed, when its sagespec.yaml is wrong. What was begun stays with the folder it was begun in."""
        if root == self.root:
            return
        with self._making:
            before, self.root = self.root, root
            try:
                self.read_settings_again()
            except SpecError:
                self.root = before
                raise
            for part in (Parts.inputs, Parts.gateway, Parts.secrets):
                self._made.pop(part, None)
            if Parts.runtime in self._made:
                self.runtime.move_to(root)

    @property
    def kept(self) -> Path:
        """What this machine keeps for the project: each environment has its own, as it is a project."""
        return kept_in(self.home, self.environment)

    # -- engine ------------------------------------------------------------------------------------

    @Part
    def runtime(self) -> Runtime:
        """The engine; `runtime_reason` then says which one it is and why."""
        wanted = self.runtime_choice or self.settings.runtime_name
        chosen, self.runtime_reason = choose(
            wanted,
            self.settings.name,
            self.root,
            containers=self.kept / "containers",
            last=self.last_runtime(),
            swarm=self.settings.swarm,
            marks=self._marks,
            open_secret=self._open_secret,
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

    @Part
    def checksums(self) -> dict[tuple[Path, int, int], str]:
        """Of archives that are to be imported: by path, size and time of change, so that each is read once."""
        return {}

    def last_runtime(self) -> str:
        """The runtime of the last apply, so that `auto` stays with it; '' before the first."""
        return self.last_runtime_file.read_text().strip() if self.last_runtime_file.is_file() else ""

    @property
    def last_runtime_file(self) -> Path:
        return self.kept / "runtime"

    @property
    def traffic_file(self) -> Path:
        """Where the process that watches writes what the traffic was lately."""
        return self.kept / "traffic.json"

    @property
    def figures_file(self) -> Path:
        """Where the process that watches keeps what it counted for Prometheus."""
        return self.kept / "prometheus.json"

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
        from sagespec.gateway.certificates import certificate_of
        from sagespec.gateway.gateway import Gateway

        settings = self.settings
        certificate = partial(certificate_of, settings.gateway, self.home)
        return Gateway(self.runtime, settings.name, settings.gateway, certificate=certificate)

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
        return ToldStore(open_store(self.settings.store, root=self.home), self.waits)

    @Part
    def records(self) -> Records:
        return Records(self.store, self.settings.name)

    @property
    def models_from(self) -> Records | None:
        """The records of the project where models are trained that are copied here; None where there is none."""
        named = chosen(self.root, self.environment).spec.models_from if self.environment else None
        if named is None:
            return None
        place, name = named.store or "", named.project or ""
        if named.environment:
            there = load([], self.root, environment=named.environment, check_paths=False).project
            place, name = there.store, there.name
        return Records(ToldStore(open_store(place, root=self.home, create=False), self.waits), name)

    @property
    def owner(self) -> Owner:
        """Whose containers those are that this checkout makes."""
        return Owner(self.records.store_id(), self.store.uri, socket.gethostname(), str(self.home.resolve()))

    @Part
    def secrets(self) -> Secrets:
        """What sagespec.yaml names as secrets."""
        from sagespec.secrets.secrets import Secrets

        salt = partial(salt_of, self.store, self.settings.name)
        return Secrets(self.settings.secrets, self.root, salt, home=self.home)

    def _open_secret(self, name: str) -> str:
        """Of the settings of now: the engine may be older."""
        return self.secrets.open(name)

    def _marks(self) -> Mapping[str, str]:
        self.records.make_store_id()
        return self.owner.labels

    @Part
    def scratch(self) -> Path:
        """A folder of this process for what may be lost, on the disk of the project."""
        return self._folders.enter_context(own_folder(self.kept / "tmp"))

    @Part
    def cache(self) -> Cache:
        """Data fetched from S3."""
        from sagespec.inputs.cache import Cache

        return Cache(self.home / NAME / "cache", self.settings.cache_size)

    @Part
    def inputs(self) -> Inputs:
        from sagespec.inputs.delivery import Inputs

        return Inputs(self.runtime, self.root, self.cache, self.kept / "channels")

    # -- all together ------------------------------------------------------------------------------

    def leases(self, command: str = "") -> Leases:
        """Who is at work, as one run sees it and takes part in it. command: of the run."""
        read = (self.root, *self.specs) if self.home == self.root else (self.home,)  # whatever commit it is at
        specs = " ".join(str(path.resolve()) for path in read) if command in GOING_ON else ""
        return Leases(self.store, self.settings.name, command=command, specs=specs)

    def find_commit(self) -> GitFound:
        """The commit of the project. A store in its folder, and all that sagespec keeps there, is no change."""
        store, root = Path(self.store.uri.removeprefix("file://")), self.root.resolve()
        inside = [store.relative_to(root).as_posix()] if root in store.parents else []
        return find_commit(root, ours=[NAME, *inside])

    def _git(self) -> Git | None:
        return self.find_commit().git

    def keep_counts(self) -> None:
        """Take what the gateway has counted into the store."""
        from sagespec.traffic.tallying import count_all

        count_all(self.records, self.gateway)

    def world(self, leases: Leases) -> World:
        """Everything that actions act on, as of now."""
        from sagespec.run.jobs import Jobs
        from sagespec.world import World

        jobs = Jobs(
            self.runtime,
            self.records,
            self.inputs,
            self.metrics_of_builtins,
            self.root,
            self.scratch,
            self._git,
            by=run_by(leases.command),
        )
        return World(
            self.runtime,
            self.gateway,
            self.records,
            leases,
            jobs,
            self.root,
            self.scratch,
            self._git,
            models_from=lambda: self.models_from,
            environment=self.environment,
        )
