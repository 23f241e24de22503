"""The command that serves the dashboard."""

from __future__ import annotations

import click

from sagespec.cli.extras import OF_WEB, need
from sagespec.cli.given import DONE, Invocation, takes_common_options
from sagespec.cli.group import as_written


@click.command(
    epilog=as_written("""
        Examples:
          sagespec dashboard
          sagespec dashboard --open            in the browser, also one that is served already
          sagespec dashboard --write           with buttons that stop, apply and roll back
    """)
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Listen on this port.  [default: from sagespec.yaml, else 8082]"
)
@click.option("--write", is_flag=True, default=None, help="Let whoever may see it also stop, apply and roll back.")
@takes_common_options()
def dashboard(given: Invocation, opens: bool, port: int | None, write: bool | None) -> int:
    """Show jobs, endpoints and the plan in a browser.

    Listens on this machine alone, unless sagespec.yaml says otherwise, and prints the address, which carries the token
    that lets a browser in. Read-only, unless asked. Ends on Ctrl-C; everything keeps running.
    """
    from sagespec.web.places import place_of

    with given.project() as project:
        if opens and (place := place_of(project.parts.kept, "dashboard")):
            given.screen.line(place.url)
            click.launch(place.url)
            return DONE
        need(OF_WEB, "web", what="the dashboard")
        from sagespec.cli.signals import stoppable
        from sagespec.dashboard.happenings import Happenings
        from sagespec.dashboard.serving import serving
        from sagespec.web.snapshots import Snapshots

        with (
            stoppable(given.screen, "Everything keeps running.", begun=True) as interrupt,
            serving(project, Snapshots(project.status), Happenings(), port=port, write=write) as served,
        ):
            if given.screen.format == "json":
                given.screen.record({"event": "listening", "url": served.url})
            else:
                given.screen.line("dashboard  ", (served.url, "name"))
            if opens:
                click.launch(served.url)
            interrupt.cancelled.wait()
    return DONE
