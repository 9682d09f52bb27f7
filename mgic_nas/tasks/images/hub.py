"""Data sets of the Hugging Face hub where the hub cannot be reached: from the cache at once, or an error at once."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

import huggingface_hub
from huggingface_hub import constants

#: Seconds for which the hub may be silent.
PATIENCE = 5.0
_FLAG = "HF_HUB_OFFLINE"


def reachable() -> bool:
    """Whether the hub (or what ``HF_ENDPOINT`` names instead of it) may be asked, and answers, whatever it says."""
    if constants.is_offline_mode():
        return False
    try:
        huggingface_hub.get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # whatever the http library of this version of the hub raises
        return False
    return True


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Within the block the hub's libraries ask the network for nothing.

    They would try again and again, for up to minutes, before they look into their cache.
    """
    changed = [constants]
    with contextlib.suppress(ImportError):  # datasets is not part of the installation
        changed.append(importlib.import_module("datasets.config"))
    before = [getattr(module, _FLAG) for module in changed]
    try:
        for module in changed:
            setattr(module, _FLAG, True)
        yield
    finally:
        for module, value in zip(changed, before):
            setattr(module, _FLAG, value)
