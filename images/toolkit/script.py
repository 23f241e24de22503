"""Script mode: `train` of a framework runs the user's own script, as SageMaker's training toolkit does.

The platform has unpacked the code to /opt/ml/code and named the entry point in the hyperparameters
(`sagemaker_program`). Here the requirements are installed, the script is run with its arguments and variables
(`script_variables`), and the exception it raises becomes output/failure. Facts: sagemaker-training 5.1 (entry_point.py,
torch_distributed.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn

from toolkit.errors import ClientError
from toolkit.hosts import address_of
from toolkit.packages import hosted_packages, install, python_for, python_path, require_modules
from toolkit.reasons import ended_text, reason_of
from toolkit.script_job import Script, base_folder, has_script, read_script
from toolkit.script_output import Printed, pass_on, wait_for
from toolkit.script_variables import arguments, environment, gpu_count
from toolkit.secret_words import shown
from toolkit.signals import beside_signals
from toolkit.training import STOPPED_EXIT_CODE, fail

__all__ = ["has_script", "main"]

TORCH_DISTRIBUTED = "sagemaker_torch_distributed_enabled"
ENDING = Path(__file__).parent / "ending"  # holds the sitecustomize that every Python of a script loads: see there
SHOWN_LINES = 40  # of what the script printed, in output/failure
NOT_KEPT = shutil.ignore_patterns("__pycache__", "*.pyc", ".git")


def main(framework: str) -> NoReturn:
    """Run the script of the job under /opt/ml and exit as it does; `framework` names the image's folder."""
    base, running = base_folder(), Running()
    signal.signal(signal.SIGTERM, running.on_signal)
    try:
        require_modules(framework)
        script = read_script(framework, base)
        modules = install(script.code, base / "packages", with_code=script.is_package)
        if len(script.hosts.names) > 1:
            address_of(script.master[0])  # names may come late
        variables = environment(script) | {
            "PYTHONPATH": os.pathsep.join([python_path(ENDING, modules, script.code), *hosted_packages(framework)]),
            "PYTHONUNBUFFERED": "1",
        }
        words = command(script, python_for(modules))
    except ClientError as error:
        sys.exit(fail(base, f"ClientError: {error}"))
    exit_code, printed = beside_signals(lambda: running.run(words, script.code, _outer_environment() | variables))
    if exit_code and not running.stop_requested:
        report_failure(script, words, exit_code, printed)
    if script.hosts.is_master and (exit_code == 0 or running.stop_requested):
        keep_code(script)
    sys.exit(exit_code)


def command(script: Script, python: str) -> list[str]:
    """The words that run the script: `python` for a .py, with -m for a package, the shell for anything else."""
    words = arguments(script.hyperparameters)
    is_python = script.entry_point.endswith(".py")
    if script.settings.get(TORCH_DISTRIBUTED):
        if script.is_package or not is_python:
            raise ClientError(f"entry_point: torch_distributed needs a Python script, not {script.entry_point}")
        return [python, *torchrun(script), script.entry_point, *words]
    if script.is_package:
        module_name = script.entry_point.removesuffix(".py").replace("/", ".")
        return [python, "-m", module_name, *words]
    if is_python:
        return [python, script.entry_point, *words]
    (script.code / script.entry_point).chmod(0o755)
    return ["/bin/sh", "-c", 'exec "$0" "$@"', f"./{script.entry_point}", *words]


def torchrun(script: Script) -> list[str]:
    """Python's words for a process a GPU, or one a host, on all hosts; the master keeps the store they meet at."""
    address, port = script.master
    return [
        *("-m", "torch.distributed.run"),
        *("--nnodes", str(len(script.hosts.names)), "--nproc_per_node", str(gpu_count() or 1)),
        *("--master_addr", address, "--master_port", str(port), "--node_rank", str(script.rank)),
    ]


def _outer_environment() -> dict[str, str]:
    """Ours, less what the platform set of its own parameters and the script must not see."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SM_HP_SAGEMAKER_")}


# -- running it ------------------------------------------------------------------------------------


@dataclass
class Running:
    """The script's process. SIGTERM is passed on to it; before it has begun, SIGTERM ends the job."""

    stop_requested: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None)

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.stop_requested = True
        if self._process is None:
            print("stopped before the script began", flush=True)
            os._exit(STOPPED_EXIT_CODE)
        self._process.send_signal(number)

    def run(self, words: Sequence[str], folder: Path, variables: Mapping[str, str]) -> tuple[int, Printed]:
        """Exit code (128 + signal for a killed script) and the end of what it printed."""
        print("running", shown(words), flush=True)
        self._process = process = subprocess.Popen(
            words, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        printed = Printed()
        readers = [pass_on(process.stdout, 1, printed.output), pass_on(process.stderr, 2, printed.errors)]
        code = process.wait()
        wait_for(readers)
        return code if code >= 0 else 128 - code, printed


# -- what came of it -------------------------------------------------------------------------------


def report_failure(script: Script, words: Sequence[str], exit_code: int, printed: Printed) -> None:
    """Write output/failure, unless the script has."""
    ended = ended_text(script.entry_point, exit_code)
    print(ended, file=sys.stderr, flush=True)  # all else it has printed itself
    failure = script.base / "output" / "failure"
    if failure.exists():
        return
    errors, output = printed.errors_text, printed.output_text
    reason = reason_of(script.entry_point, exit_code, errors=errors, output=output, channels=sorted(script.inputs))
    last_lines = "\n".join((errors if errors.strip() else output).splitlines()[-SHOWN_LINES:])
    text = f"AlgorithmError: {reason}\n\n{ended}; it was run as {shown(words)}\n\n{last_lines}\n"
    failure.write_text(text, encoding="utf-8")


def keep_code(script: Script) -> None:
    """Put the code into model/code, so that the archive serves itself; not where the script did, or left no model."""
    model = script.base / "model"
    if any(path.is_file() for path in model.rglob("*")) and not (model / "code").exists():
        shutil.copytree(script.code, model / "code", ignore=NOT_KEPT)
