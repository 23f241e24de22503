"""An engine, a store and a gateway in memory, for tests of what is built on them.

clock.py      time that stands still until it is set
faults.py     counts effects, and kills or fails any one of them
engine.py     the containers, which outlive every `FakeRuntime` opened on them, as Docker's outlive sagespec
runtime.py    the Runtime on it     } both pass the contract
store.py      a Store               } suites of the real ones
gateway.py    the real routing table, without Envoy
specs.py      specs as plain values -> Desired
"""

from tests.fakes.clock import START, ProcessClock, SettableClock, SteppedClock
from tests.fakes.engine import FEEDS, SERVES, TRAINS, Behaviour, FakeEngine
from tests.fakes.faults import Faults, Killed
from tests.fakes.gateway import FakeGateway
from tests.fakes.runtime import FakeRuntime
from tests.fakes.store import FakeStore

__all__ = [
    "FEEDS",
    "SERVES",
    "START",
    "TRAINS",
    "Behaviour",
    "FakeEngine",
    "FakeGateway",
    "FakeRuntime",
    "FakeStore",
    "Faults",
    "Killed",
    "ProcessClock",
    "SettableClock",
    "SteppedClock",
]
