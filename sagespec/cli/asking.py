"""Calls to an endpoint: the request, and the answer or error in words."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from sagespec.cli.completing import complete_caller, complete_endpoint, complete_variant
from sagespec.cli.given import DONE, FAILED, Invocation, takes_common_options
from sagespec.cli.group import as_written
from sagespec.errors import WorldError

if TYPE_CHECKING:
    from sagespec.show.screen import Screen
    from sagespec.verbs.answers import Answer

Ask = Callable[[], "Answer"]

LONGEST_PATH = 250

_CONTENT_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".libsvm": "text/libsvm",
    ".svm": "text/libsvm",
    ".npy": "application/x-npy",
    ".txt": "text/plain",
}


def guess_content_type(file_name: str, body: bytes) -> str:
    """By the file's suffix; else JSON when it looks like that, else CSV.

    >>> guess_content_type("rows.jsonl", b""), guess_content_type("-", b' [[1]]'), guess_content_type("", b"1,2")
    ('application/jsonlines', 'application/json', 'text/csv')
    """
    looks = "application/json" if body.lstrip()[:1] in (b"{", b"[") else "text/csv"
    return _CONTENT_TYPES.get(Path(file_name).suffix.lower(), looks)


def ask_once(screen: Screen, endpoint_name: str, ask: Ask, known: Callable[[], Iterable[str]]) -> int:
    """The answer's bytes to standard output, who gave it to standard error; WorldError for any status but 2xx.

    known: the names of the endpoints there are, for when this one is not among them.
    """
    answer, milliseconds = _timed(ask)
    if screen.format == "json":
        screen.document(_as_json(answer, milliseconds))
        return DONE if answer.ok else FAILED
    if not answer.ok:
        from sagespec.verbs.answers import problem_of

        raise WorldError(problem_of(endpoint_name, answer, known))
    sys.stdout.buffer.write(answer.body)
    if not answer.body.endswith(b"\n") and (sys.stdout.isatty() or _are_joined()):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    by = f"variant {answer.variant}{f' ({answer.model})' if answer.model else ''}, " if answer.variant else ""
    screen.aside((f"{by}{milliseconds:.1f} ms", "dim"))
    return DONE


def _are_joined() -> bool:
    """Whether standard error goes where standard output goes, as with 2>&1."""
    try:
        return os.path.samestat(os.fstat(sys.stdout.fileno()), os.fstat(sys.stderr.fileno()))
    except OSError:
        return False


def ask_often(screen: Screen, ask: Ask, times: int) -> int:
    """How `times` answers spread over the variants."""
    from sagespec.show.lists import write_split

    answers: dict[str, list[float]] = {}
    failed: dict[str, int] = {}
    for _ in range(times):
        answer, milliseconds = _timed(ask)
        answers.setdefault(answer.variant, []).append(milliseconds)
        if not answer.ok:
            failed[answer.variant] = failed.get(answer.variant, 0) + 1
    write_split(screen, answers, failed)
    return FAILED if failed else DONE


def _timed(ask: Ask) -> tuple[Answer, float]:
    begun = time.perf_counter()
    answer = ask()
    return answer, (time.perf_counter() - begun) * 1000


def _as_json(answer: Answer, milliseconds: float) -> dict[str, object]:
    import base64

    try:
        body = {"body": answer.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(answer.body).decode()}
    return {
        "status": answer.status,
        "variant": answer.variant,
        **({"model": answer.model} if answer.model else {}),
        "content_type": answer.content_type,
        "milliseconds": round(milliseconds, 3),
        **body,
    }


def _standard_input(_context: click.Context, _parameter: click.Parameter, source: str | None) -> str | None:
    if source not in (None, "-"):
        raise click.UsageError(f"{source} is no option: did you mean {_option_for(source.removeprefix('@'))}?")
    return source


def _text(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """What curl would read from a file is none that anybody sends."""
    if text and text.startswith("@") and _option_for(text[1:]).startswith("--file"):
        raise click.UsageError(f"--data takes the text itself: did you mean {_option_for(text[1:])}?")
    return text


def _option_for(body: str) -> str:
    path = Path(body)
    is_file = path.suffix.lower() in _CONTENT_TYPES or (len(body) < LONGEST_PATH and path.is_file())
    return f"--{'file' if is_file else 'data'} {shlex.quote(body)}"


@click.command(
    epilog=as_written("""
        Examples:
          sagespec invoke churn --data 3,5,80.0,0
          sagespec invoke churn --file rows.csv --variant candidate
          echo '{"instances": [{"features": [3, 5, 80.0, 0]}]}' | sagespec invoke churn -
          sagespec invoke churn --data 3,5,80.0,0 --repeat 1000      how the variants split
    """)
)
@click.argument("endpoint", shell_complete=complete_endpoint)
@click.argument("source", metavar="[-]", required=False, callback=_standard_input)
@click.option("--data", metavar="TEXT", callback=_text, help="Text to send.")
@click.option("--file", "body_file", metavar="PATH", type=click.File("rb"), help="File to send; - is standard input.")
@click.option("--content-type", metavar="TYPE", help="[default: by the file's suffix, else JSON or CSV by content]")
@click.option("--accept", metavar="TYPE", help="Response format to ask for (Accept).")
@click.option(
    "--variant",
    metavar="NAME",
    shell_complete=complete_variant,
    help="Send to this variant regardless of its weight (TargetVariant).",
)
@click.option("--custom-attributes", metavar="TEXT", help="Passed on to the model (CustomAttributes).")
@click.option("--inference-id", metavar="ID", help="Passed on to the model (InferenceId).")
@click.option(
    "--caller",
    metavar="NAME",
    shell_complete=complete_caller,
    help="Ask with this caller's key. [default: the first that may]",
)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Send N times; show how the variants split.",
)
@takes_common_options()
def invoke(
    given: Invocation,
    endpoint: str,
    *,
    source: str | None,
    data: str | None,
    body_file: IO[bytes] | None,
    content_type: str | None,
    repeat: int,
    **headers: str | None,
) -> int:
    """Call an endpoint, as SageMaker's InvokeEndpoint does.

    The answer goes to standard output; its variant and the time it took go to standard error. Any status other than
    2xx is a failure.
    """

    if sum(part is not None for part in (source, data, body_file)) != 1:
        raise click.UsageError("give the body exactly once: --data TEXT, --file PATH, or - for standard input")
    stream = body_file or sys.stdin.buffer
    body = stream.read() if data is None else data.encode()
    kind = content_type or guess_content_type(str(getattr(body_file, "name", "")), body)
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project:

        def ask() -> Answer:
            return project.invoke(name, body, content_type=kind, check=False, **headers)

        if repeat > 1:
            return ask_often(given.screen, ask, repeat)
        return ask_once(given.screen, name, ask, known=project.endpoint_urls)
