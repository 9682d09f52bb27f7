"""The search spaces that come with the package, by name."""

from __future__ import annotations

import os
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ..errors import UserError, did_you_mean

_MOST_BYTES = 4_000_000


def shipped_spaces() -> dict[str, Traversable]:
    """Name -> file of every shipped space: ``mgic_nas/search_spaces`` in an installation, beside it in a checkout."""
    folder: Traversable = resources.files("mgic_nas") / "search_spaces"
    if not folder.is_dir():
        checkout = Path(__file__).resolve().parents[2]
        # Beside an installed package, a folder of this name would be somebody else's.
        if not (checkout / "pyproject.toml").is_file() or not (checkout / "search_spaces").is_dir():
            return {}
        folder = checkout / "search_spaces"
    files = [f for f in folder.iterdir() if f.name.endswith(".yaml")]
    return {f.name.removesuffix(".yaml"): f for f in sorted(files, key=lambda f: f.name)}


def read_space(path_or_name: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a search-space file and how messages call it.

    A file that exists goes first; then a shipped name such as ``quickstart`` is looked up.
    """
    try:
        asked = os.fsdecode(path_or_name)
    except TypeError:
        raise UserError(
            f"{path_or_name!r} is no search space: give a YAML file or the name of a shipped one."
        ) from None
    path = Path(asked)
    try:
        if path.is_file():
            if path.stat().st_size > _MOST_BYTES:
                raise UserError(f"{asked}: {path.stat().st_size:,} bytes are too large for a search space.")
            return path.read_text(encoding="utf-8"), asked
        spaces = shipped_spaces()
        if asked in spaces:
            return spaces[asked].read_text(encoding="utf-8"), f"{asked} (shipped)"
    except UnicodeDecodeError:
        raise UserError(f"{asked}: not a text file (UTF-8), so not a search space.") from None
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise UserError(f"{asked}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if path.is_dir():
        raise UserError(f"{asked}: is a folder, not a search-space file.")
    near = did_you_mean(path.name.removesuffix(".yaml"), spaces) if spaces else ""
    if "Did you mean" in near:
        near += f" Shipped: {', '.join(spaces)}."
    raise UserError(f"No search-space file {asked!r}, and none of that name is shipped.{near}")
