"""Python runs this at the start of every process that has this folder in its PYTHONPATH."""

import os

if "MGIC_NAS_FAULT" in os.environ:
    from faults import inject

    inject.install()
