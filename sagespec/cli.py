"""The commands: read arguments, call `Project`, show what came of it, end with an exit code.

0 done, 1 failed, 2 `plan --exit-code` with changes, 64 wrong usage, 130 stopped by a signal, 141 the reader
of the output went away. Nothing heavy is imported before a command needs it, so that `--help` is quick.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import click

from sagespec import __version__
from sagespec.errors import InternalError, Problem, SagespecError, SpecError, WorldError, did_you_mean

if TYPE_CHECKING:
    from sagespec.converge import Converged
    from sagespec.events import Event, Report
    from sagespec.project import Answer, Project
    from sagespec.reconcile import Options
    from sagespec.show import Screen
    from sagespec.state import Address

DONE, FAILED, CHANGES, WRONG_USAGE, STOPPED, READER_GONE = 0, 1, 2, 64, 130, 141

RuntimeChoice = Literal["auto", "docker", "process"]
Command = Callable[..., int]


# -- what every command shares ---------------------------------------------------------------------


@dataclass(frozen=True)
class Shared:
    """The options every command has, and what follows from them."""

    folder: Path
    specs: tuple[Path, ...]
    runtime: RuntimeChoice | None
    output: str
    debug: bool

    @functools.cached_property
    def screen(self) -> Screen:
        from sagespec.show import Screen

        return Screen.here(self.output)

    def project(self) -> Project:
        """The project round the start folder; paths of `-f` are relative to that folder."""
        from sagespec.project import Project

        project = Project.open(self.folder, specs=[self.folder / path for path in self.specs], runtime=self.runtime)
        self.__dict__["screen"] = replace(self.screen, root=project.root)
        return project


_SHARED_OPTIONS = (
    click.option(
        "-C", "folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Look for the project here and in the folders above, instead of from the current folder.",
    ),
    click.option(
        "-f", "specs", metavar="PATH", multiple=True, type=click.Path(path_type=Path),
        help="File or folder with specs; may be given several times.  [default: specs/]",
    ),
    click.option(
        "--runtime", type=click.Choice(["auto", "docker", "process"]),
        help="Which engine: Docker, local processes, or Docker if it answers.  [default: that of sagespec.yaml]",
    ),
    click.option("--debug", is_flag=True, default=None, help="Show a traceback if sagespec itself goes wrong."),
)  # fmt: skip


def shared(*more_formats: str) -> Callable[[Command], Command]:
    """Gives a command the options all have, as its first argument, and turns what it raises into an exit code."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(
            folder: Path | None,
            specs: tuple[Path, ...],
            runtime: RuntimeChoice | None,
            output: str,
            debug: bool | None,
            **options: Any,
        ) -> int:
            wants_debug = bool(debug) or os.environ.get("SAGESPEC_DEBUG", "") not in ("", "0")
            given = Shared((folder or Path.cwd()).absolute(), specs, runtime, output, wants_debug)
            return _exit_code(given, lambda: command(given, **options))

        formats = ["text", "plain", "json", *more_formats]
        help_text = "text, plain (no colours, nothing moves), json for programs"
        help_text += "".join(f", {name}" for name in more_formats)
        output_option = click.option("--output", type=click.Choice(formats), default="text", help=f"{help_text}.")
        for option in reversed((*_SHARED_OPTIONS, output_option)):
            run = option(run)
        return run

    return decorate


def _exit_code(given: Shared, command: Callable[[], int]) -> int:
    try:
        return command()
    except (InternalError, AssertionError) as error:
        return _bug(given, error)
    except SagespecError as error:
        from sagespec.show import write_problems

        write_problems(given.screen, error.problems)
        return FAILED
    except KeyboardInterrupt:
        return STOPPED
    except BrokenPipeError:
        return _reader_gone()
    except OSError as error:
        from sagespec.show import write_problems

        what = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        write_problems(given.screen, [Problem(what, fix="see `sagespec doctor` for what may be wrong here")])
        return FAILED
    except click.ClickException:
        raise
    except Exception as error:
        return _bug(given, error)


def _bug(given: Shared, error: BaseException) -> int:
    from sagespec.show import write_bug

    write_bug(given.screen, error, given.debug)
    return FAILED


def _reader_gone() -> int:
    """`| head` has seen enough. What is still buffered goes nowhere, so that leaving says nothing either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        code = sagespec.main(arguments, prog_name="sagespec", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return WRONG_USAGE
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return STOPPED
    except BrokenPipeError:
        return _reader_gone()
    return code if isinstance(code, int) else DONE


class Stop:
    """What Ctrl-C and SIGTERM do while a run changes things: the first asks it to end, the second ends it.

    A CI runner sends SIGINT, and SIGTERM some seconds later. Before anything has begun, the first one ends the
    command as well, since there is nothing to be left in order.
    """

    def __init__(self, report: Report, how_to_go_on: str, *, begun: bool = False) -> None:
        self.cancelled = threading.Event()
        self._begun = begun
        self._report = report
        self._how_to_go_on = how_to_go_on

    def report(self, event: Event) -> None:
        """Passes an event on, and learns from it when the work begins."""
        self._begun = self._begun or event.kind == "planned"
        self._report(event)

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, _number: int, _frame: object) -> None:
        if self.cancelled.is_set():
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), b"\x1b[?25h\n")  # a live display had hidden the cursor
            os._exit(STOPPED)  # threads that still work would keep any gentler exit waiting
        self.cancelled.set()
        if not self._begun:
            raise KeyboardInterrupt
        # Not from here: the handler may have interrupted a write to the same stream.
        threading.Thread(target=self._tell).start()

    def _tell(self) -> None:
        from sagespec.events import Event, EventKind

        text = f"stopping: nothing new is begun. {self._how_to_go_on} (Ctrl-C again: leave at once)"
        self._report(Event(EventKind.NOTE, text=text))


@contextmanager
def _running(screen: Screen, how_to_go_on: str, *, begun: bool = False) -> Iterator[Stop]:
    from sagespec.show import reporting

    with reporting(screen) as report, Stop(report, how_to_go_on, begun=begun) as stop:
        yield stop


_GO_ON = "Jobs that run go on; `sagespec apply` takes them up again."


# -- completion of addresses -----------------------------------------------------------------------


def _names(kind: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Completes with what the specs name: "address" (job/churn@3, endpoint/churn), "endpoint" (churn), "any"."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        from sagespec.load import find_root, load

        folder = context.params.get("folder") or Path.cwd()
        try:
            root = find_root(folder)
            paths = [folder / path for path in context.params.get("specs") or ()] or [root / "specs"]
            addresses = [item.address for item in load(paths, root, check_paths=False).specs]
        except (SagespecError, OSError):
            return []  # a completion is no place to complain
        endpoints = [address.name for address in addresses if address.kind == "endpoint"]
        choices = {"address": [str(a) for a in addresses], "endpoint": endpoints}.get(kind) or [
            *endpoints,
            *(str(address) for address in addresses if address.kind == "job"),
        ]
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


# -- the commands ----------------------------------------------------------------------------------


def _epilog(*lines: str) -> str:
    return "\n\n".join(f"\b\n{line}" for line in lines)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_epilog(
        "Begin with:\n  sagespec init             a working project in this folder\n"
        "  sagespec plan             what would be done, and why\n"
        "  sagespec apply            do it: train, serve, split the traffic\n"
        "  sagespec status           what runs",
        "Exit codes: 0 done, 1 failed, 64 wrong usage; plan --exit-code: 2 for changes.",
    ),
)
@click.version_option(__version__, message="sagespec %(version)s")
@click.pass_context
def sagespec(context: click.Context, **given: Any) -> None:
    """SageMaker's train and serve loop on your own machine: YAML specs in git are what runs."""
    options = {name: value for name, value in given.items() if value not in (None, ())}
    commands: dict[str, Any] = dict.fromkeys(sagespec.commands, options)
    context.default_map = commands | {"images": dict.fromkeys(images.commands, options)}


for _option in reversed(_SHARED_OPTIONS):  # `sagespec -C dir plan` is `sagespec plan -C dir`
    sagespec = _option(sagespec)


@sagespec.command(epilog=_epilog("Example:\n  sagespec init && sagespec apply"))
@click.argument("folder_to_fill", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@shared()
def init(given: Shared, folder_to_fill: Path) -> int:
    """Write a small working project: settings, a spec, data to train with.

    Nothing that exists is overwritten.
    """
    from sagespec.scaffold import init as write_project

    folder = given.folder / folder_to_fill
    folder.mkdir(parents=True, exist_ok=True)
    written = write_project(folder)
    if given.screen.format == "json":
        given.screen.document({"written": [str(path) for path in written]})
        return DONE
    for path in written:
        given.screen.line(
            ("wrote  ", "good"), str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
        )
    if not written:
        given.screen.line("nothing written: all files of a new project are here already")
    given.screen.line(("\nnext   ", "dim"), "sagespec plan, then sagespec apply")
    return DONE


@sagespec.command(epilog=_epilog("Example:\n  sagespec validate -f specs/churn.yaml"))
@shared()
def validate(given: Shared) -> int:
    """Check the specs and all they refer to, without touching anything.

    Every problem of every file is told in one run, each with its place and how to mend it.
    """
    from sagespec.show import write_validated

    with given.project() as project:
        found = project.validate()
    write_validated(given.screen, jobs=found.jobs, endpoints=found.endpoints, files=found.files, notes=found.notes)
    return DONE


_RETRY = click.option("--retry", is_flag=True, help="Try failed jobs and revisions again.")
_PRUNE = click.option("--prune", is_flag=True, help="Remove endpoints and running jobs that no spec names any more.")
_ALLOW_EMPTY = click.option("--allow-empty", is_flag=True, help="Let --prune remove everything when there is no spec.")


class _Duration(click.ParamType):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from sagespec.spec import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


_WAIT = click.option(
    "--wait",
    "wait_seconds",
    metavar="DURATION",
    type=_Duration(),
    default=0.0,
    help="How long to wait while another apply holds the project's lock (30, 10m).  [default: do not wait]",
)


def _options(retry: bool, prune: bool, allow_empty: bool) -> Options:
    from sagespec.reconcile import Options

    return Options(retry=retry, prune=prune, allow_empty=allow_empty)


@sagespec.command(epilog=_epilog("Examples:\n  sagespec plan\n  sagespec plan --exit-code --output markdown > plan.md"))
@_RETRY
@_PRUNE
@_ALLOW_EMPTY
@click.option(
    "--exit-code", is_flag=True, help="End with 0 for nothing to do, 2 for changes, 1 for errors or refusals."
)
@shared("markdown")
def plan(given: Shared, retry: bool, prune: bool, allow_empty: bool, exit_code: bool) -> int:
    """Show what apply would do, and why.

    Looks at the specs, the engine and the store, and changes none of them. Fails when something the specs ask
    for is refused.
    """
    from sagespec.show import write_plan

    with given.project() as project:
        found = project.plan(_options(retry, prune, allow_empty))
        write_plan(given.screen, found, runtime=project.runtime_reason)
    if found.refused:
        return FAILED
    return CHANGES if exit_code and found.actions else DONE


@sagespec.command(
    epilog=_epilog(
        "Examples:\n  sagespec apply\n  sagespec apply --prune --wait 10m     in CI, behind another run",
        "Then:\n  sagespec status\n  sagespec invoke ENDPOINT --file rows.csv",
    )
)
@_RETRY
@_PRUNE
@_ALLOW_EMPTY
@_WAIT
@shared()
def apply(given: Shared, retry: bool, prune: bool, allow_empty: bool, wait_seconds: float) -> int:
    """Make what runs agree with the specs, and wait until it does or has failed.

    Safe to repeat, and to stop: Ctrl-C begins nothing new and leaves what runs.
    """
    begun = time.monotonic()
    with given.project() as project:
        options = _options(retry, prune, allow_empty)
        with _running(given.screen, _GO_ON) as stop:
            converged = project.apply(
                options, report=stop.report, cancelled=stop.cancelled, wait_for_lock_seconds=wait_seconds
            )
        return _end(given, converged, begun, urls=_urls(project))


def _urls(project: Project) -> dict[str, str]:
    """Where the endpoints of the specs answer."""
    names = [item.address.name for item in project.load().specs if item.address.kind == "endpoint"]
    return {name: f"{project.gateway_url}/endpoints/{name}/invocations" for name in sorted(names)}


def _end(given: Shared, converged: Converged, begun: float, **words: Any) -> int:
    from sagespec.show import write_converged

    write_converged(given.screen, converged, time.monotonic() - begun, **words)
    if converged.cancelled:
        return STOPPED
    return DONE if converged.ok else FAILED


@sagespec.command(epilog=_epilog("Example:\n  sagespec watch --prune"))
@_RETRY
@_PRUNE
@_ALLOW_EMPTY
@click.option(
    "--every",
    "every_seconds",
    metavar="DURATION",
    type=_Duration(),
    default=30.0,
    help="Look at least this often, whatever has or has not happened.  [default: 30s]",
)
@shared()
def watch(given: Shared, retry: bool, prune: bool, allow_empty: bool, every_seconds: float) -> int:
    """Keep what runs as specified: apply when a spec changes or a container dies.

    Ends on Ctrl-C or SIGTERM; what runs goes on.
    """
    with given.project() as project:
        options = _options(retry, prune, allow_empty)
        with _running(given.screen, "What runs goes on.", begun=True) as stop:
            project.watch(options, report=stop.report, cancelled=stop.cancelled, every_seconds=every_seconds)
    return DONE


@sagespec.command(epilog=_epilog("Example:\n  sagespec status --watch"))
@click.option("--watch", "again", is_flag=True, help="Show it anew every two seconds.")
@shared()
def status(given: Shared, again: bool) -> int:
    """Show jobs and endpoints: what is asked beside what is there."""
    from sagespec.show import repaint, write_status

    with given.project() as project:
        while True:
            found = project.status()
            repaint(given.screen, lambda screen: write_status(screen, found)) if again else write_status(
                given.screen, found
            )
            if not again:
                return DONE
            time.sleep(2)


@sagespec.command(
    epilog=_epilog(
        "Examples:\n  sagespec logs churn@3                a job, running or ended\n"
        "  sagespec logs churn --follow         all instances of an endpoint\n"
        "  sagespec logs churn/candidate --tail 20"
    )
)
@click.argument("address", shell_complete=_names("address"))
@click.option("-F", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last N lines of each container.")
@shared()
def logs(given: Shared, address: str, follow: bool, tail: int | None) -> int:
    """Show what a job or an endpoint has printed.

    ADDRESS is job/churn@3, endpoint/churn, endpoint/churn/candidate#0, gateway, or a short form: churn@3, churn,
    churn/candidate.
    """
    screen = given.screen
    with given.project() as project:
        found = resolve_address(address, _known_addresses(project))
        if address not in (str(found), str(found).partition("/")[2]):
            screen.aside((f"{found}", "dim"))
        for source, line in project.logs(found, follow=follow, tail=tail):
            host = _host(source)
            if screen.format == "json":
                screen.record({"source": host, "line": line})
            elif found.instance is None:
                screen.line((f"{host} | ", "dim"), line)
            else:
                screen.line(line)
    return DONE


def _host(source: str) -> str:
    """What tells the containers of one address apart: algo-1 of a job, stable#0 of an endpoint."""
    kind, _, rest = source.partition("/")
    if kind == "job":
        return f"algo-{int(rest.partition('#')[2] or 0) + 1}"
    return rest.partition("/")[2] or source


def _known_addresses(project: Project) -> list[Address]:
    """Everything that may have printed something: in the specs, running, or in the store."""
    from sagespec.state import GATEWAY, endpoint_address

    with _tolerant():  # broken specs are no reason to hide the logs that may explain them
        known = {item.address for item in project.load().specs}
    return sorted(
        {
            *known,
            *(container.address for container in project.runtime.containers()),
            *project.records.all_jobs(),
            *(endpoint_address(name) for name in project.records.endpoint_names()),
            GATEWAY,
        }
    )


def resolve_address(text: str, known: Sequence[Address]) -> Address:
    """The address meant by `text`, which may leave out the kind and, of a job, the version (the newest then).

    A bare name that is both an endpoint's and a job's means the endpoint.
    """
    from sagespec.state import Address

    for candidate in (text, f"endpoint/{text}", f"job/{text}"):
        try:
            address = Address.parse(candidate)
        except ValueError:
            continue
        if any(address == one or address == one.whole or _variant(one) == address for one in known):
            return address
        if address.kind == "job" and any(one.whole == address.whole for one in known):
            return address
    name = text.removeprefix("job/")
    versions = [one.whole for one in known if one.kind == "job" and one.name == name]
    if versions:
        return max(versions)
    names = [form for one in known for form in (str(one), str(one).partition("/")[2], one.name) if form]
    raise WorldError(
        f"there is nothing named {text}",
        fix=did_you_mean(text, names) or "see `sagespec status` for the jobs and endpoints there are",
    )


def _variant(address: Address) -> Address:
    return replace(address, instance=None)


_SUFFIXES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".libsvm": "text/libsvm",
    ".svm": "text/libsvm",
    ".npy": "application/x-npy",
    ".txt": "text/plain",
}


@sagespec.command(
    epilog=_epilog(
        "Examples:\n  sagespec invoke churn --data 3,5,80.0,0\n  sagespec invoke churn --file rows.csv --variant candidate\n"
        "  echo '[[3, 5, 80.0, 0]]' | sagespec invoke churn -\n"
        "  sagespec invoke churn --data 3,5,80.0,0 --repeat 1000      how the variants split"
    )
)
@click.argument("endpoint", shell_complete=_names("endpoint"))
@click.argument("source", metavar="[-]", required=False, type=click.Choice(["-"]))
@click.option("--data", metavar="TEXT", help="What to send.")
@click.option("--file", "body_file", metavar="PATH", type=click.File("rb"), help="A file to send; - is standard input.")
@click.option("--content-type", metavar="TYPE", help="[default: by the file's suffix, else JSON or CSV by its look]")
@click.option("--accept", metavar="TYPE", help="In which form the answer is wanted.")
@click.option("--variant", metavar="NAME", help="Ask this variant, whatever its weight (TargetVariant).")
@click.option("--custom-attributes", metavar="TEXT", help="Passed on to the model (CustomAttributes).")
@click.option("--inference-id", metavar="ID", help="Passed on to the model (InferenceId).")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Ask N times and show how the variants split."
)
@shared()
def invoke(
    given: Shared,
    endpoint: str,
    source: str | None,
    data: str | None,
    body_file: IO[bytes] | None,
    content_type: str | None,
    repeat: int,
    **headers: str | None,
) -> int:
    """Call an endpoint, as SageMaker's InvokeEndpoint does.

    The answer goes to standard output, which variant gave it and how fast to standard error. Any status but
    2xx is a failure.
    """
    if sum(part is not None for part in (source, data, body_file)) != 1:
        raise click.UsageError("give what to send, once: --data TEXT, --file PATH, or - for standard input")
    body = data.encode() if data is not None else (body_file or click.get_binary_stream("stdin")).read()
    kind = content_type or _content_type(getattr(body_file, "name", ""), body)
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project:

        def ask() -> tuple[Answer, float]:
            begun = time.perf_counter()
            answer = project.invoke(name, body, content_type=kind, **headers)
            return answer, (time.perf_counter() - begun) * 1000

        return _ask_often(given, ask, repeat) if repeat > 1 else _ask_once(given, name, ask)


def _content_type(file_name: str, body: bytes) -> str:
    looks = "application/json" if body.lstrip()[:1] in (b"{", b"[") else "text/csv"
    return _SUFFIXES.get(Path(str(file_name)).suffix.lower(), looks)


def _ask_once(given: Shared, endpoint_name: str, ask: Callable[[], tuple[Answer, float]]) -> int:
    screen = given.screen
    answer, milliseconds = ask()
    ok = 200 <= answer.status < 300
    if screen.format == "json":
        screen.document(_answer_json(answer, milliseconds))
        return DONE if ok else FAILED
    if not ok:
        raise WorldError(_refusal(endpoint_name, answer))
    sys.stdout.buffer.write(answer.body)
    if sys.stdout.isatty() and not answer.body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    screen.aside((f"{answer.variant or 'answered'} in {milliseconds:.3g} ms", "dim"))
    return DONE


def _answer_json(answer: Answer, milliseconds: float) -> dict[str, object]:
    import base64

    try:
        body = {"body": answer.body.decode()}
    except UnicodeDecodeError:
        body = {"body_base64": base64.b64encode(answer.body).decode()}
    return {
        "status": answer.status,
        "variant": answer.variant,
        "content_type": answer.content_type,
        "milliseconds": round(milliseconds, 3),
        **body,
    }


def _refusal(endpoint_name: str, answer: Answer) -> Problem:
    """An error of SageMaker's runtime, or anything else that is not 2xx, in words."""
    import json

    told: Mapping[str, Any] = {}
    try:
        parsed = json.loads(answer.body)
        told = parsed if isinstance(parsed, dict) else {}
    except ValueError:
        pass
    error = answer.headers.get("x-amzn-ErrorType") or told.get("Code") or told.get("__type") or "an error"
    message = told.get("Message") or told.get("message") or answer.body.decode(errors="replace").strip()[:1000]
    original = f" (the model answered {told['OriginalStatusCode']})" if "OriginalStatusCode" in told else ""
    at = f"endpoint/{endpoint_name}" + (f"/{answer.variant}" if answer.variant else "")
    fix = f"see `sagespec logs {at}`" if answer.status in (424, 500) else "see `sagespec status`"
    return Problem(f"{error} {answer.status}{original}: {message}", about=at, fix=fix)


def _ask_often(given: Shared, ask: Callable[[], tuple[Answer, float]], times: int) -> int:
    from sagespec.show import write_split

    answers: dict[str, list[float]] = {}
    failed: dict[str, int] = {}
    for _ in range(times):
        answer, milliseconds = ask()
        answers.setdefault(answer.variant, []).append(milliseconds)
        if not 200 <= answer.status < 300:
            failed[answer.variant] = failed.get(answer.variant, 0) + 1
    write_split(given.screen, answers, failed)
    return FAILED if failed else DONE


@sagespec.command(
    epilog=_epilog(
        "Examples:\n  sagespec history\n  sagespec history churn       its revisions and its jobs\n  sagespec history churn@3"
    )
)
@click.argument("name", metavar="[ENDPOINT|JOB]", required=False, shell_complete=_names("any"))
@shared()
def history(given: Shared, name: str | None) -> int:
    """Show the revisions of endpoints and the manifests of jobs: what was asked, when, from which commit."""
    from sagespec.show import write_history
    from sagespec.state import endpoint_address

    with given.project() as project:
        jobs, endpoints = project.records.all_jobs(), project.records.endpoint_names()
        if name is not None:
            kind, _, bare = name.rpartition("/")
            jobs = tuple(a for a in jobs if kind in ("", "job") and bare in (a.name, f"{a.name}@{a.version}"))
            found = tuple(one for one in endpoints if kind in ("", "endpoint") and bare == one)
            if not jobs and not found:
                known = [*endpoints, *(str(a) for a in project.records.all_jobs())]
                raise WorldError(
                    f"{name} has no history in {project.store.uri}",
                    fix=did_you_mean(name, known) or "`sagespec history` alone lists all there is",
                )
            endpoints = found
        manifests = project.records.manifests(jobs)
        revisions = {endpoint_address(one): project.history(one) for one in endpoints}
    write_history(given.screen, revisions, [manifests[address] for address in jobs])
    return DONE


@sagespec.command(
    epilog=_epilog("Examples:\n  sagespec rollback churn\n  sagespec rollback churn --to 4 --reason 'too many errors'")
)
@click.argument("endpoint", shell_complete=_names("endpoint"))
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="N",
    help="The revision to serve again.  [default: the live one before this]",
)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the history.")
@_WAIT
@shared()
def rollback(given: Shared, endpoint: str, to: int | None, reason: str, wait_seconds: float) -> int:
    """Serve an earlier revision of an endpoint again.

    What is rolled back is not put back by a later apply until its spec changes.
    """
    begun = time.monotonic()
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project, _running(given.screen, _GO_ON) as stop:
        converged = project.rollback(
            name,
            to=to,
            reason=reason,
            report=stop.report,
            cancelled=stop.cancelled,
            wait_for_lock_seconds=wait_seconds,
        )
    return _end_rollback(given, converged, begun, name, project)


def _end_rollback(given: Shared, converged: Converged, begun: float, name: str, project: Project) -> int:
    """Its own specs now say something else than what is live: that one refusal is what was asked for."""
    address = f"endpoint/{name}"
    others = tuple(problem for problem in converged.plan.refused if problem.about != address)
    converged = replace(converged, plan=replace(converged.plan, refused=others))
    urls = {name: f"{project.gateway_url}/endpoints/{name}/invocations"}
    return _end(given, converged, begun, urls=urls, done=f"{address} is rolled back")


@sagespec.command(epilog=_epilog("Example:\n  sagespec destroy --yes"))
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_WAIT
@shared()
def destroy(given: Shared, yes: bool, wait_seconds: float) -> int:
    """Remove all of this project's containers, its gateway and its network.

    Models, logs and history stay in the store; a later apply serves them again without training.
    """
    from sagespec.show import write_plan

    begun = time.monotonic()
    with given.project() as project:
        todo = project.plan_destroy()
        if todo.actions and not yes:
            if given.screen.format == "json" or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise SpecError(
                    f"destroy would remove {len({action.about for action in todo.actions})} containers and routes",
                    why="nobody can be asked here",
                    fix="say --yes if that is meant",
                )
            write_plan(given.screen, todo, runtime=project.runtime_reason)
            click.confirm("\nRemove all this? What is in the store stays.", abort=True)
        with _running(given.screen, "Run it again to remove the rest.") as stop:
            converged = project.destroy(
                report=stop.report, cancelled=stop.cancelled, wait_for_lock_seconds=wait_seconds
            )
    return _end(given, converged, begun, urls={}, done="nothing of this project runs")


@sagespec.group()
def images() -> None:
    """List or build the images of the built-in algorithms."""


@images.command("list", epilog=_epilog("Example:\n  sagespec images list"))
@shared()
def list_images(given: Shared) -> int:
    """Show the built-in images, and whether the engine has them."""
    from sagespec.show import write_images

    with given.project() as project:
        write_images(given.screen, project.image_infos())
    return DONE


def _builtins(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from sagespec.runtimes import images_dir

    names = sorted(file.parent.name for file in images_dir().glob("*/image.json"))
    return [name for name in names if name.startswith(incomplete)]


@images.command(
    "build",
    epilog=_epilog("Examples:\n  sagespec images build              all\n  sagespec images build xgboost gateway"),
)
@click.argument("names", nargs=-1, shell_complete=_builtins)
@shared()
def build_images(given: Shared, names: tuple[str, ...]) -> int:
    """Build the images that the engine lacks: those named, or all.

    apply does this by itself for the images it needs.
    """
    from sagespec.show import reporting, write_images

    with given.project() as project:
        with reporting(given.screen) as report:
            built = project.build_images(names, report)
        write_images(given.screen, built)
    return DONE


@sagespec.command(epilog=_epilog("Examples:\n  sagespec schema > sagespec.schema.json\n  sagespec schema --docs"))
@click.option("--docs", is_flag=True, help="A page of all fields in Markdown instead.")
def schema(docs: bool) -> int:
    """Print the JSON Schema of the specs, for editors."""
    from sagespec.schema import json_schema_text, reference

    click.echo(reference() if docs else json_schema_text(), nl=False)
    return DONE


@sagespec.command(epilog=_epilog("Example:\n  sagespec doctor"))
@shared()
def doctor(given: Shared) -> int:
    """Look at all that sagespec needs, and say how to mend what is not well.

    Works without a project, too.
    """
    from sagespec.project import Project
    from sagespec.show import write_checks

    try:
        project = given.project()
    except SagespecError:  # said as one of the checks
        project = Project(given.folder, [given.folder / path for path in given.specs], given.runtime)
    with project:
        found = project.checks()
    write_checks(given.screen, found)
    return DONE if all(check.ok for check in found) else FAILED


@sagespec.command(epilog=_epilog("Example:\n  sagespec unlock 5f3a9c21"))
@click.argument("lock_id", metavar="LOCK_ID")
@shared()
def unlock(given: Shared, lock_id: str) -> int:
    """Take the lock from a holder that is dead and cannot be known to be.

    The lock of a process that died on this machine, or has not renewed it for two minutes, is taken over without
    this. `sagespec doctor` shows the holder and the id.
    """
    from sagespec.lock import force_unlock

    with given.project() as project:
        holder = force_unlock(project.store, project.settings.name, lock_id)
    if given.screen.format == "json":
        given.screen.document({"unlocked": holder.id, "holder": str(holder)})
    else:
        given.screen.line(("unlocked", "good"), f": it was held by {holder}")
    return DONE


@sagespec.command(
    epilog=_epilog(
        "Examples:\n  source <(sagespec completion bash)\n  sagespec completion fish > ~/.config/fish/completions/sagespec.fish"
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the script that completes commands, options and addresses in a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(sagespec, {}, "sagespec", "_SAGESPEC_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return DONE


@sagespec.command()
@shared()
def version(given: Shared) -> int:
    """Print the versions of sagespec and Python."""
    if given.output == "json":
        import json

        click.echo(json.dumps({"sagespec": __version__, "python": sys.version.split()[0]}))
    else:
        click.echo(f"sagespec {__version__}, Python {sys.version.split()[0]}")
    return DONE
