"""moto's server on a free port, with one write at a time: it looks at a write's condition and writes in two steps,
between which another thread of it may write (`python moto_server.py`)."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def main() -> None:
    app, writing = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_write_at_a_time(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)  # type: ignore[no-any-return]
        with writing:
            return list(app(environ, start_response))

    run_simple("127.0.0.1", 0, one_write_at_a_time, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
