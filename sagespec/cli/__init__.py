"""The commands: read arguments, call `Project`, show what came of it, end with an exit code.

Nothing heavy is imported before a command needs it, so that `--help` is quick.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from sagespec import __version__
from sagespec.cli.addresses import complete_address, complete_builtin, complete_endpoint, complete_job
from sagespec.cli.shared import (
    CHANGES,
    DONE,
    FAILED,
    OPTIONS,
    STOPPED,
    WRONG_USAGE,
    Shared,
    output_option,
    reader_gone,
    shared,
)
from sagespec.errors import SagespecError, SpecError, WorldError, did_you_mean

if TYPE_CHECKING:
    from sagespec.converge import Converged
    from sagespec.project import Answer, Project
    from sagespec.reconcile import Options
    from sagespec.state import Address


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        code = sagespec.main(arguments, prog_name="sagespec", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return WRONG_USAGE if isinstance(error, click.UsageError) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return STOPPED
    except BrokenPipeError:
        return reader_gone()
    return code if isinstance(code, int) else DONE


class _InOrder(click.Group):
    """A group whose help lists the commands as they stand below, which is the order one needs them in."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # the parameter's name is click's
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"there is no command {name}; {did_you_mean(name, self.commands)}".rstrip("; "), ctx)
        return super().resolve_command(ctx, args)


def _as_written(text: str) -> str:
    """Lines that help shows as they stand."""
    return "\n\n".join(f"\b\n{block}" for block in inspect.cleandoc(text).split("\n\n"))


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_as_written("""
        Begin with:
          sagespec init       a small working project in this folder
          sagespec plan       what would be done, and why
          sagespec apply      do it: train, serve, split the traffic
          sagespec status     what runs

        Exit codes: 0 done, 1 failed, 64 wrong usage, 130 stopped; plan --exit-code: 2 changes.
    """),
)
@click.version_option(__version__, message="sagespec %(version)s")
@click.pass_context
def sagespec(context: click.Context, /, **given: Any) -> None:
    """SageMaker's train and serve loop on your own machine: YAML specs in git are what runs."""
    options = {name: value for name, value in given.items() if value not in (None, ())}
    of_images = dict.fromkeys(images.commands, options)
    context.default_map = dict.fromkeys(sagespec.commands, options) | {"images": of_images}


_EVERY_OUTPUT = output_option("text", "plain", "json", "markdown")
for _option in reversed((*OPTIONS, _EVERY_OUTPUT)):  # `sagespec -C dir plan` is `sagespec plan -C dir`
    sagespec = _option(sagespec)


# -- specs -----------------------------------------------------------------------------------------


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec init churn-demo && cd churn-demo && sagespec apply
    """)
)
@click.argument("target", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@shared()
def init(given: Shared, target: Path) -> int:
    """Write a small working project: settings, a spec, data.

    Nothing that exists is overwritten.
    """
    from sagespec.scaffold import init as write_project

    screen, folder = given.screen, given.folder / target
    folder.mkdir(parents=True, exist_ok=True)
    written = [str(path.relative_to(folder) if path.is_relative_to(folder) else path) for path in write_project(folder)]
    if screen.format == "json":
        screen.document({"folder": str(folder), "written": written})
        return DONE
    for name in written:
        screen.line(("wrote  ", "good"), name)
    if not written:
        screen.line("nothing written: all files of a new project are here already")
    screen.line(("\nnext   ", "dim"), "sagespec plan, then sagespec apply")
    return DONE


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec validate -f specs/churn.yaml
    """)
)
@shared()
def validate(given: Shared) -> int:
    """Check the specs and all they refer to.

    Every problem of every file is told in one run, each with its place and how to mend it. Nothing is changed.
    """
    from sagespec.show import write_validated

    with given.project() as project:
        found = project.validate()
    write_validated(given.screen, jobs=found.jobs, endpoints=found.endpoints, files=found.files, notes=found.notes)
    return DONE


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec schema > sagespec.schema.json
          sagespec schema --docs
    """)
)
@click.option("--docs", is_flag=True, help="A page of all fields, in Markdown, instead.")
def schema(docs: bool) -> int:
    """Print the JSON Schema of the specs, for editors."""
    from sagespec.schema import json_schema_text, reference

    click.echo(reference() if docs else json_schema_text(), nl=False)
    return DONE


# -- plan and apply --------------------------------------------------------------------------------


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    """Durations as in the specs (30s, 10m); a bare number is seconds."""
    from sagespec.spec.values import parse_duration

    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_RETRY = click.option("--retry", is_flag=True, help="Try failed jobs and revisions again.")
_PRUNE = click.option("--prune", is_flag=True, help="Remove endpoints and running jobs that no spec names any more.")
_ALLOW_EMPTY = click.option("--allow-empty", is_flag=True, help="Let --prune remove everything when no spec is left.")
_WAIT = click.option(
    "--wait",
    "wait_seconds",
    metavar="DURATION",
    callback=_seconds,
    default="0s",
    help="How long to wait while somebody else works on this project (30s, 10m).  [default: not at all]",
)


def _options(retry: bool, prune: bool, allow_empty: bool) -> Options:
    from sagespec.reconcile import Options

    return Options(retry=retry, prune=prune, allow_empty=allow_empty)


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec plan
          sagespec plan --exit-code --output markdown >> "$GITHUB_STEP_SUMMARY"
    """)
)
@_RETRY
@_PRUNE
@_ALLOW_EMPTY
@click.option("--exit-code", is_flag=True, help="End with 0: nothing to do, 2: changes, 1: errors or refusals.")
@shared("markdown")
def plan(given: Shared, retry: bool, prune: bool, allow_empty: bool, exit_code: bool) -> int:
    """Show what apply would do, and why.

    Looks at the specs, the engine and the store, and changes none of them. Fails when something that the specs
    ask for is refused.
    """
    from sagespec.show import write_plan

    with given.project() as project:
        found = project.plan(_options(retry, prune, allow_empty))
        write_plan(given.screen, found, runtime=project.runtime_reason)
    if found.refused:
        return FAILED
    return CHANGES if exit_code and found.actions else DONE


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec apply
          sagespec apply --prune --wait 10m       in CI, behind another run

        Then:
          sagespec status
          sagespec invoke ENDPOINT --file rows.csv
    """)
)
@_RETRY
@_PRUNE
@_ALLOW_EMPTY
@_WAIT
@shared()
def apply(given: Shared, retry: bool, prune: bool, allow_empty: bool, wait_seconds: float) -> int:
    """Make what runs agree with the specs.

    Ends when all is as specified or has failed. Safe to repeat, and to stop: Ctrl-C begins nothing new and
    leaves what runs.
    """
    from sagespec.cli.stop import stoppable

    begun = time.monotonic()
    with given.project() as project:
        with stoppable(given.screen) as stop:
            converged = project.apply(
                _options(retry, prune, allow_empty),
                report=stop.report,
                cancelled=stop.cancelled,
                wait_for_lock_seconds=wait_seconds,
            )
        return _end(given, converged, begun, urls=_urls(project))


def _urls(project: Project) -> dict[str, str]:
    """Where the endpoints of the specs answer."""
    names = sorted(item.address.name for item in project.load().specs if item.address.kind == "endpoint")
    return {name: _url(project, name) for name in names}


def _url(project: Project, endpoint_name: str) -> str:
    return f"{project.gateway_url}/endpoints/{endpoint_name}/invocations"


def _end(given: Shared, converged: Converged, begun: float, **words: Any) -> int:
    from sagespec.show import write_converged

    write_converged(given.screen, converged, time.monotonic() - begun, **words)
    if converged.cancelled:
        return STOPPED
    return DONE if converged.ok else FAILED


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec watch --prune
    """)
)
@_RETRY
@_PRUNE
@_ALLOW_EMPTY
@click.option(
    "--every",
    "every_seconds",
    metavar="DURATION",
    callback=_seconds,
    default="30s",
    help="Look at least this often, whatever has happened.  [default: 30s]",
)
@shared()
def watch(given: Shared, retry: bool, prune: bool, allow_empty: bool, every_seconds: float) -> int:
    """Apply whenever a spec changes or a container dies.

    Ends on Ctrl-C or SIGTERM, with 0; what runs goes on.
    """
    from sagespec.cli.stop import stoppable

    with given.project() as project, stoppable(given.screen, "What runs goes on.", begun=True) as stop:
        project.watch(
            _options(retry, prune, allow_empty),
            report=stop.report,
            cancelled=stop.cancelled,
            every_seconds=every_seconds,
        )
    if given.screen.format == "json":
        given.screen.record({"event": "result", "ok": True, "stopped": True})
    return DONE


# -- looking ---------------------------------------------------------------------------------------


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec status --watch
    """)
)
@click.option("--watch", "again", is_flag=True, help="Show it anew every two seconds, until Ctrl-C.")
@shared()
def status(given: Shared, again: bool) -> int:
    """Show what is asked beside what is there."""
    from sagespec.show import write_status

    with given.project() as project:
        write_status(given.screen, project.status(), in_place=again)
        while again:
            time.sleep(2)
            write_status(given.screen, project.status(), in_place=True)
    return DONE


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec logs churn@3                     a job, running or ended
          sagespec logs churn --follow              all instances of an endpoint
          sagespec logs churn/candidate --tail 20   one variant
          sagespec logs churn@3 --plot              a job's metrics, drawn
          sagespec logs churn@3 --png auc.png train:auc validation:auc
    """)
)
@click.argument("address", shell_complete=complete_address)
@click.argument("metrics", metavar="[METRIC]...", nargs=-1)
@click.option("-F", "--follow", is_flag=True, help="Go on as lines come.")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last N lines of each container.")
@click.option(
    "--plot", is_flag=True, help="Draw a job's metrics (all, or those named) instead; --follow: anew as it runs."
)
@click.option(
    "--png", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Draw them into a PNG file."
)
@shared()
def logs(
    given: Shared, address: str, metrics: tuple[str, ...], follow: bool, tail: int | None, plot: bool, png: Path | None
) -> int:
    """Show what a job or an endpoint has printed.

    ADDRESS is job/churn@3, endpoint/churn, endpoint/churn/candidate#0, gateway, or a short form of these:
    churn@3, churn, churn/candidate.
    """
    if metrics and not plot and not png:
        raise click.UsageError(f"{metrics[0]}: metrics are named with --plot or --png")
    if png and follow:
        raise click.UsageError("--png draws once; --plot --follow goes on")
    if files := [name for name in metrics if name.endswith(".png")]:
        raise click.UsageError(f"{files[0]} is no metric; to draw into a file, say --png {files[0]}")
    from sagespec.cli.addresses import host_of, known_addresses, resolve_address

    screen = given.screen
    with given.project() as project:
        found = resolve_address(address, known_addresses(project))
        if not str(found).endswith(address):
            screen.aside((str(found), "dim"))
        if plot or png:
            return _plot(given, project, found, metrics, follow=follow, png=png)
        for source, line in project.logs(found, follow=follow, tail=tail):
            host = host_of(source)
            if screen.format == "json":
                screen.record({"source": host, "line": line})
            else:
                screen.line((f"{host} | " if found.instance is None else "", "dim"), line)
    return DONE


def _plot(
    given: Shared, project: Project, job: Address, metrics: Sequence[str], *, follow: bool, png: Path | None
) -> int:
    from sagespec.show import write_png, write_series

    for series in project.series(job, metrics, follow=follow):
        if png:
            file = given.folder / png
            write_png(file, str(job.whole), series)
            given.screen.aside((f"{file}: {', '.join(series)}", "dim"))
        else:
            write_series(given.screen, str(job.whole), series, in_place=follow)
    return DONE


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec invoke churn --data 3,5,80.0,0
          sagespec invoke churn --file rows.csv --variant candidate
          echo '[[3, 5, 80.0, 0]]' | sagespec invoke churn -
          sagespec invoke churn --data 3,5,80.0,0 --repeat 1000      how the variants split
    """)
)
@click.argument("endpoint", shell_complete=complete_endpoint)
@click.argument("source", metavar="[-]", required=False, type=click.Choice(["-"]))
@click.option("--data", metavar="TEXT", help="What to send.")
@click.option("--file", "body_file", metavar="PATH", type=click.File("rb"), help="A file to send; - is standard input.")
@click.option("--content-type", metavar="TYPE", help="[default: by the file's suffix; else JSON or CSV, by its look]")
@click.option("--accept", metavar="TYPE", help="In which form the answer is wanted.")
@click.option("--variant", metavar="NAME", help="Ask this variant, whatever its weight (TargetVariant).")
@click.option("--custom-attributes", metavar="TEXT", help="Passed on to the model (CustomAttributes).")
@click.option("--inference-id", metavar="ID", help="Passed on to the model (InferenceId).")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, metavar="N", help="Ask N times; show how the variants split."
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
    from sagespec.cli.asking import ask_often, ask_once, guess_content_type

    if sum(part is not None for part in (source, data, body_file)) != 1:
        raise click.UsageError("give what to send, once: --data TEXT, --file PATH, or - for standard input")
    stream = body_file or sys.stdin.buffer
    body = stream.read() if data is None else data.encode()
    kind = content_type or guess_content_type(str(getattr(body_file, "name", "")), body)
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project:

        def ask() -> Answer:
            return project.invoke(name, body, content_type=kind, **headers)

        if repeat > 1:
            return ask_often(given.screen, ask, repeat)
        return ask_once(given.screen, name, ask, known=lambda: _urls(project))


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec history
          sagespec history churn        the endpoint's revisions, and the jobs of that name
          sagespec history churn@3      one job: its data, its parameters, its model
    """)
)
@click.argument("name", metavar="[ENDPOINT|JOB]", required=False, shell_complete=complete_address)
@shared()
def history(given: Shared, name: str | None) -> int:
    """Show revisions of endpoints and what came of jobs.

    What was asked, when, from which commit, what changed, and how it ended.
    """
    from sagespec.show import write_history
    from sagespec.state import endpoint_address

    with given.project() as project:
        jobs, endpoints = project.records.all_jobs(), project.records.endpoint_names()
        if name is not None:
            kind, _, bare = name.rpartition("/")
            known = [*endpoints, *(f"{job.name}@{job.version}" for job in jobs)]
            jobs = tuple(a for a in jobs if kind in ("", "job") and bare in (a.name, f"{a.name}@{a.version}"))
            endpoints = tuple(one for one in endpoints if kind in ("", "endpoint") and one == bare)
            if not jobs and not endpoints:
                raise WorldError(
                    f"{name} has no history in {project.store.uri}",
                    fix=did_you_mean(bare, known) or "`sagespec history` alone lists all there is",
                )
        manifests = project.records.manifests(jobs)
        revisions = {endpoint_address(one): project.history(one) for one in endpoints}
    write_history(given.screen, revisions, [manifests[job] for job in jobs if job in manifests])
    return DONE


# -- going back, taking down -----------------------------------------------------------------------


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec rollback churn
          sagespec rollback churn --to 4 --reason "too many errors"
    """)
)
@click.argument("endpoint", shell_complete=complete_endpoint)
@click.option(
    "--to", type=click.IntRange(min=1), metavar="N", help="Which revision.  [default: the one that was live before]"
)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the history.")
@_WAIT
@shared()
def rollback(given: Shared, endpoint: str, to: int | None, reason: str, wait_seconds: float) -> int:
    """Serve an earlier revision of an endpoint again.

    What is rolled back is not put back by a later apply until its spec changes.
    """
    from sagespec.cli.stop import stoppable

    begun = time.monotonic()
    name = endpoint.removeprefix("endpoint/")
    with given.project() as project:
        with stoppable(given.screen) as stop:
            converged = project.rollback(
                name,
                to=to,
                reason=reason,
                report=stop.report,
                cancelled=stop.cancelled,
                wait_for_lock_seconds=wait_seconds,
            )
        converged = _without_its_own_refusal(converged, f"endpoint/{name}")
        return _end(given, converged, begun, urls={name: _url(project, name)}, done=f"endpoint/{name} is rolled back")


def _without_its_own_refusal(converged: Converged, address: str) -> Converged:
    """That the endpoint's spec is not put back is refused by every plan from now on: here it is what was wanted."""
    refused = tuple(problem for problem in converged.plan.refused if problem.about != address)
    notes = converged.plan.notes
    if refused != converged.plan.refused:
        notes += (f"{address}: its spec is not put back by apply until it changes (or with --retry)",)
    return replace(converged, plan=replace(converged.plan, refused=refused, notes=notes))


@sagespec.command(
    epilog=_as_written("""
        Examples:
          sagespec stop churn@3
          sagespec stop job/churn@3 --reason "wrong data"
    """)
)
@click.argument("address", shell_complete=complete_job)
@click.option("--reason", default="", metavar="TEXT", help="Kept in the manifest.")
@shared()
def stop(given: Shared, address: str, reason: str) -> int:
    """End a training job.

    One that runs gets SIGTERM, 120 s, SIGKILL, and what lies in its model folder then is kept. One that waits or
    fetches its data is ended as well. It is not run again until its spec changes, or by apply --retry. Ctrl-C ends
    the waiting, not the stop.
    """
    from sagespec.cli.addresses import known_addresses, resolve_address
    from sagespec.cli.stop import stoppable

    with given.project() as project:
        known = [known.whole for known in known_addresses(project) if known.kind == "job"]
        found = resolve_address(address, known)
        with stoppable(given.screen, "The request stays.", begun=True) as stop:
            manifest = project.stop(found, reason=reason, report=stop.report, cancelled=stop.cancelled)
    if given.screen.format == "json":
        result = {"status": manifest.status.value, "reason": manifest.reason, "artifacts": sorted(manifest.artifacts)}
        given.screen.record({"event": "result", "ok": True, "job": str(found)} | result)
    elif manifest.status.value == "stopped":
        kept = "what was in its model folder is kept" if "model" in manifest.artifacts else "it had no model"
        given.screen.line(("stopped", "good"), f": {found}; {kept}")
    else:
        given.screen.line(("ended", "good"), f": {found} ended by itself before: {manifest.verdict}")
    return DONE


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec destroy --yes
    """)
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_WAIT
@shared()
def destroy(given: Shared, yes: bool, wait_seconds: float) -> int:
    """Remove all containers, the gateway and the network.

    Of this project alone. Models, logs and history stay in the store: a later apply serves them again without
    training.
    """
    from sagespec.cli.stop import stoppable
    from sagespec.show import write_plan

    screen = given.screen
    with given.project() as project:
        todo = project.plan_destroy()
        if todo.actions and not yes:
            if screen.format == "json" or not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise SpecError(
                    f"destroy would take {len(todo.actions)} actions, and nobody can be asked here",
                    fix="say --yes if that is meant",
                )
            write_plan(screen, todo, runtime=project.runtime_reason)
            if not click.confirm("\nRemove all this? What is in the store stays"):
                return FAILED
        begun = time.monotonic()
        with stoppable(screen, "Run it again to remove the rest.") as stop:
            converged = project.destroy(
                report=stop.report, cancelled=stop.cancelled, wait_for_lock_seconds=wait_seconds
            )
    return _end(given, converged, begun, urls={}, done="nothing of this project runs")


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec unlock 5f3a9c21
    """)
)
@click.argument("lock_id", metavar="LOCK_ID")
@shared()
def unlock(given: Shared, lock_id: str) -> int:
    """Take the project's lock from a dead holder.

    Seldom needed: the lock of a process that died on this machine, or has not renewed it for two minutes, is
    taken over without this. `sagespec doctor` shows the holder and the id.
    """
    from sagespec.lock import force_unlock

    with given.project() as project:
        holder = force_unlock(project.store, project.settings.name, lock_id)
    if given.screen.format == "json":
        given.screen.document({"unlocked": holder.id, "holder": str(holder)})
    else:
        given.screen.line(("unlocked", "good"), f": it was held by {holder}")
    return DONE


# -- the machine -----------------------------------------------------------------------------------


@sagespec.group(cls=_InOrder)
def images() -> None:
    """List or build the images of the built-in algorithms."""


@images.command(
    "list",
    epilog=_as_written("""
        Example:
          sagespec images list
    """),
)
@shared()
def list_images(given: Shared) -> int:
    """Show the built-in images, and whether the engine has them."""
    from sagespec.show import write_images

    with given.project() as project:
        write_images(given.screen, project.image_infos())
    return DONE


@images.command(
    "build",
    epilog=_as_written("""
        Examples:
          sagespec images build                  all of them
          sagespec images build xgboost gateway
    """),
)
@click.argument("names", nargs=-1, shell_complete=complete_builtin)
@shared()
def build_images(given: Shared, names: tuple[str, ...]) -> int:
    """Build the images that the engine lacks: those named, or all.

    apply does this by itself for the images it needs.
    """
    from sagespec.show import reporting, write_images

    with given.project() as project:
        with reporting(given.screen) as report:
            built = project.build_images(names, report)
        write_images(given.screen, built, as_result=True)
    return DONE


@sagespec.command(
    epilog=_as_written("""
        Example:
          sagespec doctor
    """)
)
@shared()
def doctor(given: Shared) -> int:
    """Look at all that sagespec needs; say how to mend it.

    Works outside a project, too.
    """
    from sagespec.project import Project
    from sagespec.show import write_checks

    try:
        project = given.project()
    except SagespecError:  # said as one of the checks
        project = Project(given.folder, given.specs, given.runtime)
    with project:
        found = project.checks()
    write_checks(given.screen, found)
    return DONE if all(check.ok for check in found) else FAILED


@sagespec.command(
    epilog=_as_written("""
        Examples:
          source <(sagespec completion bash)
          sagespec completion fish > ~/.config/fish/completions/sagespec.fish
    """)
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print what completes commands and addresses in a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, f"click has no completion for {shell}"
    script = kind(sagespec, {}, "sagespec", "_SAGESPEC_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return DONE


@sagespec.command()
@shared()
def version(given: Shared) -> int:
    """Print the versions of sagespec and Python."""
    python = sys.version.split()[0]
    if given.output == "json":
        given.screen.document({"sagespec": __version__, "python": python})
    else:
        click.echo(f"sagespec {__version__}, Python {python}")
    return DONE
