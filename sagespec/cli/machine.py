"""Commands about this machine: images, doctor, completion, version."""

from __future__ import annotations

import sys

import click

from sagespec import __version__
from sagespec.cli.completing import complete_builtin
from sagespec.cli.given import DONE, FAILED, Invocation, takes_common_options
from sagespec.cli.group import InOrder, as_written
from sagespec.errors import SagespecError


@click.group(cls=InOrder)
def images() -> None:
    """List or build the images of the built-in algorithms."""


@images.command(
    "list",
    epilog=as_written("""
        Example:
          sagespec images list
    """),
)
@takes_common_options()
def list_images(given: Invocation) -> int:
    """Show the built-in images, and whether the engine has them."""
    from sagespec.show.lists import write_images

    with given.project() as project:
        write_images(given.screen, project.image_infos())
    return DONE


@images.command(
    "build",
    epilog=as_written("""
        Examples:
          sagespec images build                  all of them
          sagespec images build xgboost gateway
    """),
)
@click.argument("names", nargs=-1, shell_complete=complete_builtin)
@takes_common_options()
def build_images(given: Invocation, names: tuple[str, ...]) -> int:
    """Build the images that the engine lacks: those named, or all.

    apply does this automatically for the images it needs.
    """
    from sagespec.show.lists import write_images
    from sagespec.show.progress import reporting

    with given.project() as project:
        with reporting(given.screen) as report:
            built = project.build_images(names, report=report)
        write_images(given.screen, built, as_result=True)
    return DONE


@click.command(
    epilog=as_written("""
        Example:
          sagespec doctor
    """)
)
@takes_common_options()
def doctor(given: Invocation) -> int:
    """Check everything sagespec needs; say how to fix what is wrong.

    Works outside a project too.
    """
    from sagespec.project import Project
    from sagespec.show.lists import write_checks

    try:
        project = given.project()
    except SagespecError:  # said as one of the checks
        project = Project(given.folder, given.specs, given.runtime, environment=given.environment)
    with project:
        found = project.checks()
    write_checks(given.screen, found)
    return DONE if all(check.ok for check in found) else FAILED


@click.command(
    epilog=as_written("""
        Examples:
          source <(sagespec completion bash)
          sagespec completion fish > ~/.config/fish/completions/sagespec.fish
    """)
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print a shell's completion script for commands and addresses."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, f"click has no completion for {shell}"
    script = kind(click.get_current_context().find_root().command, {}, "sagespec", "_SAGESPEC_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return DONE


@click.command()
@takes_common_options()
def version(given: Invocation) -> int:
    """Print the versions of sagespec and Python."""
    from sagespec.show.lists import write_version

    write_version(given.screen, __version__, sys.version.split()[0])
    return DONE
