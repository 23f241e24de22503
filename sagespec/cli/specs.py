"""Commands about the specs as files: init, validate, schema."""

from __future__ import annotations

from pathlib import Path

import click

from sagespec.cli.given import (
    DONE,
    Shared,
    shared,
)
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
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
    from sagespec.verbs.init import init as write_project

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


@click.command(
    epilog=as_written("""
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


@click.command(
    epilog=as_written("""
        Examples:
          sagespec schema > sagespec.schema.json
          sagespec schema --docs
    """)
)
@click.option("--docs", is_flag=True, help="A page of all fields, in Markdown, instead.")
def schema(docs: bool) -> int:
    """Print the JSON Schema of the specs, for editors."""
    from sagespec.spec.schema import json_schema_text, reference

    click.echo(reference() if docs else json_schema_text(), nl=False)
    return DONE
