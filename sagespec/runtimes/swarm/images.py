"""Images of programs for all nodes: built on our own engine, kept in the registry, and used by digest.

What sagespec builds has one name in the registry, made from what it is built of: whoever finds it there builds nothing.
A user's own image stays in its own registry; one that only our engine has is pushed to ours. A container's image, as
`Container.image` names it, is that name or name@digest; nodes are only ever told name@digest.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from docker.errors import ImageNotFound

from sagespec.errors import WorldError
from sagespec.runtimes.docker.builds import pull
from sagespec.runtimes.docker.credentials import check_logins
from sagespec.runtimes.docker.engine import refusals
from sagespec.runtimes.docker.images import Images, repo_digests
from sagespec.runtimes.protocol import ImageInfo, Tell
from sagespec.runtimes.swarm.bake import BAKED, baked
from sagespec.runtimes.swarm.catalog import Catalog
from sagespec.runtimes.swarm.names import LABEL_MADE_FROM
from sagespec.runtimes.swarm.registry import Registry, apart, repository_of
from sagespec.state.labels import LABEL_MODEL, LABEL_PROJECT
from sagespec.state.programs import Build, Builtin, Image, Program

BUILD = "build"  # the repository of what is built from folders of the user's
OWN = "own"  # of the user's images that are in no other registry
REMEMBERED_SECONDS = 600.0  # that a registry of others has an image: some count how often they are asked


class SwarmImages:
    """folder: of the built-in programs. root: to which folders to build are relative. cluster: the id of the Swarm,
    whose images are apart from those of others in the same registry."""

    def __init__(self, engine: Any, folder: Path, root: Path, registry: Registry, cluster: str = "") -> None:
        self._engine, self._registry, self._cluster = engine, registry, cluster
        self._catalog = Catalog(engine, registry)
        self.local = Images(engine, folder, root)
        self._preparing = threading.Lock()  # a program that two jobs need is built once
        self._pinned: dict[Image, str] = {}
        self._seen: dict[str, float] = {}

    def move_to(self, root: Path) -> None:
        self.local.root = root

    # -- what nodes are told -----------------------------------------------------------------------

    def prepare(self, program: Program, tell: Tell) -> str:
        """The digest by which all nodes get it."""
        return self.prepared(program, tell).partition("@")[2]

    def prepared(self, program: Program, tell: Tell) -> str:
        """name@digest, in the registry now."""
        with self._preparing:
            if isinstance(program, Image):
                return self._pin(program, tell)
            wanted = self.reference(program)
            digest = self._registry.digest(wanted)
            if not digest:
                self.local.prepare(program, tell)
                digest = self._registry.push(self.local.reference(program), wanted, tell)
            return f"{repository_of(wanted)}@{digest}"

    def for_nodes(self, image: str) -> str:
        """name@digest of what `Container.image`, or `reference`, names."""
        if "@" in image:
            return image
        if digest := self._registry.digest(image):
            return f"{repository_of(image)}@{digest}"
        raise WorldError(f"the registry {self._registry.host} has no {image}", fix="run sagespec apply again")

    def fetch(self, image: str, tell: Tell) -> str:
        """The same, on our own engine now: a container can be made from it there."""
        pinned = self.for_nodes(image)
        with refusals(f"get {pinned}"):
            try:
                self._engine.inspect_image(pinned)
            except ImageNotFound:
                pull(self._engine, pinned, tell)
        return pinned

    # -- what programs mean ------------------------------------------------------------------------

    def reference(self, program: Program) -> str:
        if isinstance(program, Image):
            return self._pinned.get(program) or self._known(program) or program.reference
        return self._in_registry(self.local.reference(program))

    def now(self, program: Program) -> str:
        """What a container of it would be made from. A user's image is looked for on our engine, not in its registry:
        as on one machine, whoever pulls it moves it on."""
        match program:
            case Builtin():
                local = self.local.now(program)
                return self._in_registry(local) if local else ""
            case Image():
                return self._pinned.get(program) or self._known(program)
            case Build():
                return ""

    def digests(self, program: Program) -> frozenset[str]:
        """All by which it is known: in registries, and on our engine."""
        if isinstance(program, Image):
            pinned = self._pinned.get(program, "").partition("@")[2]
            return self.local.digests(program) | (frozenset({pinned}) if pinned else frozenset())
        if isinstance(program, Builtin) and not self.local.now(program):
            return frozenset()
        digest = self._registry.digest(self.reference(program))
        return frozenset({digest}) | self.local.digests(program) if digest else frozenset()

    def has(self, image: str) -> bool:
        """A registry that does not answer has not lost it."""
        if not self._registry.has_place_for(image) and "@" not in image:
            return self.local.has(image)
        if time.monotonic() - self._seen.get(image, -REMEMBERED_SECONDS) < REMEMBERED_SECONDS:
            return True
        try:
            found = bool(self._registry.digest(image))
        except WorldError:
            return True
        if found and not self._registry.has_place_for(image):
            self._seen[image] = time.monotonic()
        return found

    def check(self, program: Program) -> None:
        """WorldError when it cannot be had as things are here."""
        match program:
            case Image():
                if not self.now(program):
                    check_logins(program.reference)
            case Build() if self._registry.digest(self.reference(program)):
                return
            case _:
                self.local.check(program)

    def infos(self) -> tuple[ImageInfo, ...]:
        rows = [(row, self._in_registry(row.reference)) for row in self.local.infos()]
        return tuple(ImageInfo(row.name, name, self._registry.digest(name), row.size) for row, name in rows)

    # -- what may go -------------------------------------------------------------------------------

    def built(self) -> tuple[ImageInfo, ...]:
        """Of all projects and releases: in the registry, and on our engine."""
        found = {self._in_registry(row.reference): row for row in self.local.built()}
        found = {name: replace(row, reference=name) for name, row in found.items()}
        names = {row.name for row in self.local.infos()}
        for kind in sorted({*names, BUILD, BAKED}):
            repository = apart(kind, self._cluster)
            for tag in self._catalog.tags(repository):
                if stored := self._catalog.look(repository, tag):
                    reference = self._registry.name(repository, tag)
                    found[reference] = ImageInfo(
                        kind if kind in names else "",
                        reference,
                        stored.digest,
                        stored.size,
                        stored.created_at,
                        stored.labels.get(baked(LABEL_PROJECT), ""),
                        stored.labels.get(baked(LABEL_MODEL), ""),
                    )
        return tuple(found[name] for name in sorted(found))

    def remove(self, reference: str) -> bool:
        """From our engine and the registry, unless a container has it, or a service of the cluster names it."""
        digest = self._registry.digest(reference)
        used = self._in_use()
        if reference in used or (digest and any(name.endswith(f"@{digest}") for name in used)):
            return False
        here = [row.reference for row in self.local.built() if self._in_registry(row.reference) == reference]
        if not all(self.local.remove(name) for name in (reference, *here)):
            return False
        if digest:
            self._catalog.delete(repository_of(reference).removeprefix(f"{self._registry.place}/"), digest)
        return True

    def _in_use(self) -> set[str]:
        """Whatever image a service of the cluster names, of whichever project."""
        with refusals("list the services"):
            if self._engine.info()["Swarm"]["LocalNodeState"] != "active":
                return set()
            specs = [service["Spec"] for service in self._engine.services()]
        labels = {spec.get("Labels", {}).get(LABEL_MADE_FROM, "") for spec in specs}
        return labels | {spec["TaskTemplate"]["ContainerSpec"]["Image"] for spec in specs}

    # -- images of the user's ----------------------------------------------------------------------

    def _pin(self, program: Image, tell: Tell) -> str:
        pinned = self._trained_with(program, tell) or self._tagged(program, tell)
        self._pinned[program] = pinned
        return pinned

    def _trained_with(self, program: Image, tell: Tell) -> str:
        """The very image that `program.digest` stands for; '' when it is nowhere any more."""
        if not program.digest:
            return ""
        for name in self._names(program):
            with suppress(WorldError):  # its tag stands in for it, as where it is gone
                if self._registry.digest(f"{name}@{program.digest}"):
                    return f"{name}@{program.digest}"
        return self._push_own(program.digest, tell) if self.local.has(program.digest) else ""  # the id of one

    def _tagged(self, program: Image, tell: Tell) -> str:
        if known := self._known(Image(program.reference)):
            with suppress(WorldError):  # it cannot be had from there
                if self._registry.digest(known):
                    return known
        if self.local.has(program.reference):
            return self._push_own(program.reference, tell)
        digest = self._registry.digest(program.reference)
        if not digest:
            raise WorldError(
                f"there is no image {program.reference}, neither in its registry nor on the engine",
                fix="check the name; an image of your own must be pushed, or be on the engine that sagespec speaks to",
            )
        return f"{repository_of(program.reference)}@{digest}"

    def _push_own(self, image: str, tell: Tell) -> str:
        with refusals(f"look at the image {image}"):
            tag = str(self._engine.inspect_image(image)["Id"]).partition(":")[2][:12]
        target = self._registry.name(OWN, tag)
        digest = self._registry.digest(target) or self._registry.push(image, target, tell)
        return f"{repository_of(target)}@{digest}"

    def _known(self, program: Image) -> str:
        """Its name@digest as our engine knows it; '' for one that it does not have, or that is in no registry."""
        names = self._names(program)
        if program.digest:
            return next((name for name in (f"{n}@{program.digest}" for n in names) if self.local.has(name)), "")
        with refusals(f"look for the image of {program}"):
            try:
                digests = repo_digests(self._engine.inspect_image(program.reference))
            except ImageNotFound:
                return ""
        return next((f"{name}@{digests[name]}" for name in names if name in digests), "")

    def _names(self, program: Image) -> tuple[str, str]:
        """The repositories that may have it, first ours, which is near."""
        return self._registry.name(OWN), repository_of(program.reference)

    def _in_registry(self, local: str) -> str:
        """The name there of what our engine has built."""
        repository, _, tag = local.rpartition(":")
        kind, _, name = repository.partition("/")
        return (
            self._registry.name(apart(BUILD, self._cluster), f"{name}-{tag}")
            if kind == "sagespec-build"
            else self._registry.name(apart(name, self._cluster), tag)
        )
