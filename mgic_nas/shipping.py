"""``export`` of a run's winner or of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from .engine.storage.config import RUN_YAML
from .errors import UserError
from .exporting.ship import Export, export
from .exporting.source import of_folder
from .networks import CONFIG
from .run import load_run


def export_network(
    what: str | Path,
    to: str,
    out: str | Path,
    budget: str | float | None = None,
    int8: bool = False,
    fuse: bool = True,
    data: str | None = None,
) -> Export:
    """:meth:`mgic_nas.run.Winner.export` of a run's winner, or the same of a folder with a trained network.

    Args:
        what: a run's folder, or one with ``config.json`` and ``model.safetensors``, such as ``winners/1M``.
        to, out, int8, fuse, data: as :meth:`~mgic_nas.run.Winner.export` takes them.
        budget: which winner of a run; by default the most accurate one of all.

    Raises:
        UserError: there is no such network, or as :meth:`~mgic_nas.run.Winner.export`.
    """
    if not isinstance(what, str | os.PathLike):
        raise UserError(f"a network is named by the path of a run or a folder, not by {what!r}.")
    path = Path(what)
    if os.path.isfile(path / RUN_YAML):  # False for what is no path
        return load_run(path).within(budget).export(to, out, int8=int8, fuse=fuse, data=data)
    if budget is not None:
        raise UserError(f"{what} is no run: a budget chooses among the winners of a run; leave it out.")
    if not os.path.isfile(path / CONFIG):
        raise UserError(f"{what} is neither a run nor a folder with {CONFIG} of a trained network.")
    return export(of_folder(path), to, out, int8=int8, fused=fuse, data=data)
