"""`accelerate: onnx` of a variant: the fast form of its model, made when the server starts, or kept from before.

Called by the `serve` of an image before it forks its workers. The model is loaded and converted in a process of its
own, so that neither its libraries nor its memory stay, and a crash is a reason like any other. What came of it is kept
by content beside the packages that pip installed (`kept`): the same model with the same libraries is not converted, nor
refused, a second time. `said` is what `sagespec status` reads.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toolkit import kept
from toolkit.errors import ClientError
from toolkit.onnx_form import Facts, Form, NoForm
from toolkit.packages import IMAGES, is_installed, outer_packages

VARIABLE = "SAGESPEC_ACCELERATE"
SAID = "accelerate.json"  # beside the model's folder
REFUSED = "refused.txt"
MODULES = ("onnxruntime", "skl2onnx", "onnxmltools")
EXTRA = "onnx"
LIBRARIES = ("onnx", "skl2onnx", "scikit_learn", "xgboost", "lightgbm", "numpy", "scipy", "pandas")
LONGEST_SECONDS = 300.0
POLL_SECONDS = 0.02

Convert = Callable[[Path], None]  # writes a form into a folder; raises whatever stands against it


class Refused(Exception):
    """The original serves, for this reason."""


@dataclass(frozen=True)
class Acceleration:
    """What a server's workers start with. folder: of the form; None where the original serves."""

    folder: Path | None
    text: str

    def form(self) -> Form | None:
        return Form.load(self.folder) if self.folder else None


def is_asked_for() -> bool:
    return os.environ.get(VARIABLE, "") == "onnx"


def prepare(base: Path, convert: Convert, *, is_kept: bool = True) -> Acceleration:
    """The form of the model in `base`/model, or why there is none; written down for `status`, and printed.

    is_kept: whether the same files always give the same model.
    """
    begun = time.monotonic()
    try:
        folder, is_new = _form_of(base, convert, is_kept=is_kept)
        found = Acceleration(folder, _text(Facts.read(folder)))
    except Refused as refused:
        found, is_new = Acceleration(None, str(refused)), False
    seconds = time.monotonic() - begun
    how = f"; converted in {seconds:.1f} s" if is_new else ""
    print(f"accelerate: onnx is {'on' if found.folder else 'off'}: {found.text}{how}", flush=True)
    said = {"accelerate": "onnx", "is_on": found.folder is not None, "text": found.text}
    with suppress(OSError):
        (base / SAID).write_text(json.dumps(said), encoding="utf-8")
    return found


def _text(facts: Facts) -> str:
    speed = f", {facts.times_faster:.3g} times as fast for one row" if facts.times_faster else ""
    return f"{facts.model}, checked on {facts.rows} rows, the largest difference {facts.largest:.1e}{speed}"


def _form_of(base: Path, convert: Convert, *, is_kept: bool) -> tuple[Path, bool]:
    """The form's folder, and whether it was made just now. Raises Refused."""
    missing = [name for name in MODULES if not _is_there(name)]
    if missing:
        raise Refused(f"{', '.join(missing)} is not installed: pip install 'sagespec[{EXTRA}]'")
    made: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        _convert_apart(folder, convert)
        made.append(folder)

    own = base / "packages"
    if is_kept:
        folder = kept.find_or_make_folder(_key_of(base / "model"), kept.where_kept(own), make)
    else:
        folder = Path(tempfile.mkdtemp(prefix="form-", dir=base)) / "form"
        make(folder)
    if (folder / REFUSED).is_file():
        raise Refused((folder / REFUSED).read_text(encoding="utf-8"))
    return folder, bool(made)


def _is_there(module: str) -> bool:
    try:
        return is_installed(module)
    except ModuleNotFoundError:
        return False


def _key_of(model: Path) -> str:
    """A hash of all that decides what the conversion makes: the model, its libraries, and these programs."""
    digest = hashlib.sha256(b"accelerate: onnx")
    for file in sorted(path for path in model.rglob("*") if path.is_file()):
        digest.update(f"\0{file.relative_to(model)}\0".encode("utf-8", "surrogateescape"))
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    names = {path.name for folder in (*outer_packages(), *sys.path) for path in Path(folder).glob("*.dist-info")}
    words = [sys.version, *sorted(name for name in names if name.startswith(LIBRARIES))]
    for program in sorted([*(IMAGES / "toolkit").glob("onnx_*.py"), *Path(sys.argv[0]).resolve().parent.glob("*.py")]):
        words.append(hashlib.sha256(program.read_bytes()).hexdigest())
    digest.update("\0".join(words).encode())
    return f"onnx-{digest.hexdigest()[:32]}"


def _convert_apart(folder: Path, convert: Convert) -> None:
    """Run `convert(folder)` in a process of its own. A reason that would be the same next time is left in the folder;
    Refused for any other."""
    from toolkit.workers import die_with, ended, fork

    parent = os.getpid()

    def life() -> int:
        die_with(parent)
        for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[threads] = "1"
        try:
            logging.disable(logging.WARNING)
            convert(folder)
        except Exception as error:
            is_said = isinstance(error, NoForm | ClientError)
            if not is_said:
                traceback.print_exc()
            reason = str(error) if is_said else f"{type(error).__name__}: {error}"
            (folder / REFUSED).write_text(reason, encoding="utf-8")
        return 0

    pid = fork(life)
    until = time.monotonic() + LONGEST_SECONDS
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            _discard(folder)
            raise Refused(f"it was not converted within {LONGEST_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    if status:
        _discard(folder)
        raise Refused(f"the process that converted it {ended(status)}")


def _discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
