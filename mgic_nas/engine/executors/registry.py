"""Executors by name. An executor trains the jobs of a :class:`~mgic_nas.engine.jobs.JobSource`.

``local`` has one worker process a slot and never imports ray; ``ray`` is Ray Tune, on this machine or on a cluster.
An entry is a function ``execute(controller, setup, concurrent, gpus_per_trial)``, which returns when the controller is
done. However it ends, the run can be resumed.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable

from ..._registry import Registry
from ...errors import INSTALL, UserError

EXECUTORS: Registry[Callable[..., None]] = Registry(
    "executor",
    {"ray": "mgic_nas.engine.executors.ray:execute", "local": "mgic_nas.engine.executors.local:execute"},
)
WITHOUT_RAY = "ray is not installed, so trials run in local worker processes (install mgic_nas[search] for Ray)"


def has_ray() -> bool:
    """Whether ray is installed; imports nothing."""
    found = importlib.util.find_spec("ray")
    return found is not None and found.origin is not None  # a folder that happens to be named ray has no origin


def choose(name: str | None, say: Callable[[str], None]) -> str:
    """The executor to use: ``name``, or where None ray, or where that is not installed local, which it then says.

    UserError for an unknown name, and for ray where it is not installed.
    """
    if name is None:
        if has_ray():
            return "ray"
        say(WITHOUT_RAY)
        return "local"
    if EXECUTORS.check(name) == "ray" and not has_ray():
        raise UserError(f"ray is not installed: {INSTALL}; or use --executor local.")
    return name


def check_address(address: str) -> None:
    """UserError where nobody answers at ``host:port``; Ray itself would try for many minutes."""
    if "://" in address:
        raise UserError(f"address {address!r}: name the cluster as host:port (the GCS, usually port 6379), or auto.")
    host, colon, port = address.rpartition(":")
    if not colon:
        return  # auto, or something that Ray refuses at once
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=10):
            pass
    except (OSError, ValueError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"no Ray cluster at {address!r}: {reason}. Start one with: ray start --head.") from None


def executor(name: str) -> Callable[..., None]:
    """The ``execute`` function of an executor."""
    return EXECUTORS.load(name)
