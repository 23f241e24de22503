"""What a gateway that is to be replaced does first: it takes no new connections, and ends its requests.

Called by `Gateway.start`. Whoever replaces it is in a hurry, as nobody is let in meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from sagespec.errors import WorldError

PATH = "/drain_listeners"
SECONDS = 10.0
POLL_SECONDS = 0.1


def let_requests_end(shut_the_door: Callable[[], object], is_busy: Callable[[], bool]) -> None:
    """Until none is in flight, at most for SECONDS. A gateway that cannot be asked has none that could end."""
    with suppress(WorldError):
        shut_the_door()
        give_up_at = time.monotonic() + SECONDS
        while is_busy() and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
