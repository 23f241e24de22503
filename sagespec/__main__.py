"""python -m sagespec: the same as the command `sagespec`."""

import sys

from sagespec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
