"""Makes our `toolkit` importable in a user's script, which does not see the folder of the images.

Whatever of the packages here uses the toolkit imports this first.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1]

if "toolkit" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "toolkit", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["toolkit"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["toolkit"])
