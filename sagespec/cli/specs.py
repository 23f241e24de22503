"""Commands about the specs as files: init, validate, show, schema."""

from __future__ import annotations

from pathlib import Path

import click

from sagespec.cli.completing import complete_spec
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Example:
          sagespec init churn-demo && cd churn-demo && sagespec apply
    """)
)
@click.argument("target", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@takes_common_options()
def init(given: Invocation, target: Path) -> int:
    """Write a small working project: settings, a spec, data.

    Never overwrites a file.
    """
    from sagespec.show.lists import write_created
    from sagespec.verbs.init import init as write_project

    folder = given.folder / target
    folder.mkdir(parents=True, exist_ok=True)
    write_created(given.screen, folder, write_project(folder))
    return DONE


@click.command(
    epilog=as_written("""
        Example:
          sagespec validate -f specs/churn.yaml
    """)
)
@takes_common_options()
def validate(given: Invocation) -> int:
    """Check the specs and everything they refer to.

    Reports every problem in every file at once, with its location and a fix. Changes nothing.
    """
    from sagespec.show.lists import write_validated

    with given.project() as project:
        found = project.validate()
    write_validated(given.screen, found)
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec show churn --env prod
          sagespec show job/churn@3
          sagespec show project --env prod
    """)
)
@click.argument("name", metavar="ADDRESS|project", shell_complete=complete_spec)
@takes_common_options()
def show(given: Invocation, name: str) -> int:
    """Print a spec as it is in an environment.

    Fields from the environment, or from the job that another is like, are followed by the file, line and column that
    say so. Values of secrets are hidden. `project` prints the settings.
    """
    from sagespec.show.lists import write_shown

    with given.project() as project:
        found = project.show(name)
    write_shown(given.screen, found)
    return DONE


@click.command(
    epilog=as_written("""
        Examples:
          sagespec schema > sagespec.schema.json
          sagespec schema --docs
    """)
)
@click.option("--docs", is_flag=True, help="Print a Markdown page of all fields instead.")
def schema(docs: bool) -> int:
    """Print the JSON Schema of the specs, for editors."""
    from sagespec.spec.schema import reference
    from sagespec.verbs.schema import schema_text

    click.echo(reference() if docs else schema_text(), nl=False)
    return DONE
