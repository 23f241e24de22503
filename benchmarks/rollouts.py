"""Rollouts under load while gateway, watch and apply are killed: python benchmarks/rollouts.py [of_each]

So many rollouts (20) of each strategy at 80 % of the rate that this machine reaches, as processes; every third is of
a model that always fails, and must be taken back. Prints what callers saw; what counts as lost stands in
`tests/scenarios/rollout/upheaval.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.scenarios.rollout.upheaval import run
from tests.scenarios.workspace import Workspace


def main() -> None:
    of_each = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "project", "rollouts-under-load", "process")
        try:
            seen = run(workspace, of_each=of_each)
        finally:
            workspace.run("destroy", "--yes", code=None)
    for name, value in vars(seen).items():
        print(f"{name:<14} {dict(value) if hasattr(value, 'keys') else value}")
    sys.exit(1 if seen.lost else 0)


if __name__ == "__main__":
    main()
