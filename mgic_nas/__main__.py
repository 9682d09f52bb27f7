"""``python -m mgic_nas``: the command ``mgic-nas`` of this Python."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
