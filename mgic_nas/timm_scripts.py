"""Runs one of timm's own scripts with our names registered: ``python -m mgic_nas.timm_scripts validate.py ARGS...``.

timm has no plug-in mechanism: something must import this package before the script asks for a model. Its train.py
takes the import as an argument (``python -P train.py --device-modules mgic_nas ...``); validate.py, benchmark.py,
inference.py and onnx_export.py take none. The scripts are in timm's repository, not in its wheel.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the script that ``argv`` begins with as the main program, the rest being its arguments."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or not Path(argv[0]).is_file():
        what = f"there is no script {argv[0]}" if argv else "give a script, such as validate.py, and its arguments"
        print(f"mgic_nas.timm_scripts: error: {what}; timm's are in its repository, not in its wheel", file=sys.stderr)
        raise SystemExit(2)
    # As `python -P`: in a checkout of timm, its timm/ would shadow the installed one.
    if not sys.flags.safe_path and sys.path and Path(sys.path[0]).resolve() == Path.cwd():
        sys.path.pop(0)
    sys.argv = argv
    runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
