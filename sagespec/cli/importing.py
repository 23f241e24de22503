"""The command import: a model that was trained elsewhere becomes a version of a job."""

from __future__ import annotations

import click

from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


def _parse_metrics(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in words:
        name, _, value = word.rpartition("=")
        try:
            found[name] = float(value)
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"{word} is not NAME=NUMBER")
    return found


@click.command(
    "import",
    epilog=as_written("""
        Examples:
          sagespec import model.tar.gz --as churn@1 --algorithm xgboost
          sagespec import model.tar.gz --as churn@1 --metric validation:auc=0.797
          sagespec import sagemaker:churn-2026-11-29-12-30-05-575 --region eu-west-1
    """),
)
@click.argument("archive", metavar="MODEL.TAR.GZ|sagemaker:NAME")
@click.option("--as", "version", metavar="NAME@VERSION", default="", help="The version of a job that it becomes.")
@click.option("--region", metavar="REGION", default="", help="Of SageMaker, if it is not the usual one.")
@click.option("--algorithm", metavar="NAME", default="", help="The built-in that serves it, if the job has no spec.")
@click.option("--framework", metavar="NAME", default="", help="The framework that serves it.")
@click.option("--image", metavar="NAME", default="", help="Your container that serves it.")
@click.option("--entry-point", metavar="FILE", default="", help="Of a framework: the script in the model's code/.")
@click.option(
    "--metric", "metrics", metavar="NAME=NUMBER", multiple=True, callback=_parse_metrics, help="What it scored."
)
@takes_common_options()
def import_model(
    given: Invocation,
    *,
    archive: str,
    version: str,
    region: str,
    algorithm: str,
    framework: str,
    image: str,
    entry_point: str,
    metrics: dict[str, float],
) -> int:
    """Take a model that was trained elsewhere into the store.

    It becomes a version that is trained, which endpoints may name and no apply trains again. Nothing is overwritten. If
    the version has a spec, that says what serves the model. Of a training job or an endpoint of SageMaker, specs are
    written, too.
    """
    from sagespec.show.lists import write_brought, write_imported
    from sagespec.verbs.import_model import ServedBy

    served_by = ServedBy(algorithm, framework, image, entry_point)
    if archive.startswith("sagemaker:"):
        from sagespec.api.sagemaker.imports.imports import import_from_sagemaker

        if metrics or entry_point:
            raise click.UsageError("--metric and --entry-point are of a MODEL.TAR.GZ: SageMaker says them itself.")
        with given.project() as project:
            brought = import_from_sagemaker(project.parts, archive, region=region, version=version, served_by=served_by)
        write_brought(given.screen, brought.manifests, brought.files, brought.left_out)
        return DONE
    if region or not version:
        raise click.UsageError("--region is of sagemaker:NAME." if region else "Missing option '--as'.")
    with given.project() as project:
        manifest = project.import_model(given.folder / archive, version, served_by, metrics=metrics)
    write_imported(given.screen, manifest)
    return DONE
