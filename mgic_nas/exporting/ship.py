"""``export()``: one folder that ships, whole or not at all."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._files import read_json, replaced_folder, write_atomic, write_json
from ..cost.fused import fuse
from ..deploy.files import open_file
from ..deploy.onnx_export import onnx_bytes
from ..deploy.onnx_file import with_metadata
from ..deploy.openvino_file import save_openvino
from ..deploy.packages import package
from ..deploy.pt2_file import export_pt2
from ..errors import UserError, did_you_mean
from ..networks import open_folder
from ..tasks.prepared import load_prepared
from .card import FILES, INT8, card
from .check import CHECKED, agreement, some_inputs
from .eight_bits import Tried, quantised
from .source import Source
from .table import Row, Table, measure

ORIGIN = "export.json"  # of which network, in which form, with what files and numbers
FORMS = ("hf", *FILES)
_NEEDS = {"hf": (), "onnx": ("onnx", "onnxruntime"), "pt2": (), "openvino": ("onnx", "openvino")}
#: The runtime for which a network is fused: what is fastest there is measured.
_TARGETS = {"onnx": "onnxruntime", "pt2": "torch", "openvino": "openvino"}


@dataclass(frozen=True)
class Export:
    """A folder that ships.

    Attributes:
        folder: where it is.
        form: "hf", "onnx", "pt2" or "openvino".
        files: their names.
        table: what was measured; empty for "hf".
        notes: a line each.
    """

    folder: Path
    form: str
    files: tuple[str, ...]
    table: Table
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "folder": str(self.folder),
            "form": self.form,
            "files": list(self.files),
            **self.table.to_dict(),
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"{self.folder}: {', '.join(self.files)}", *(f"  {line}" for line in self.table.lines())]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def export(
    source: Source,
    to: str,
    out: str | os.PathLike[str],
    *,
    int8: bool = False,
    fused: bool = True,
    data: str | None = None,
) -> Export:
    """Writes a network as a folder that ships, and compares what was written with it on validation images.

    The same call again replaces what it wrote; a folder with anything else in it is refused.

    Args:
        source: the network.
        to: "hf" (``config.json``, safetensors, model card), "onnx", "pt2" or "openvino".
        out: the folder.
        int8: with "onnx": in 8 bits, too, calibrated on training images.
        fused: BatchNorms folded and the form that is fastest here, see :func:`mgic_nas.fuse`; not with "hf".
        data: a spec, for the comparison and the calibration; by default what the network was trained on.

    Raises:
        UserError: a wrong argument, a package that is missing, a folder with other content, or a network that cannot be
            exported; nothing is written then.
    """
    target = _checked(source, to, out, int8)
    if to == "hf":
        notes: tuple[str, ...] = ()
        if source.in_timm:
            notes = ('`import mgic_nas` comes before timm.create_model("local-dir:..."): it registers the names',)

        def fill(folder: Path) -> None:
            source.write(folder)
            open_folder(folder)  # whole, and what this version reads
            _finish(folder, source, to, Table(), notes)

        _write(target, fill)
        return Export(target, to, _names(target), Table(), notes)

    spec = data if data is not None else source.spec
    if spec is None:
        raise UserError(f"{source.name} does not say its data: name some (--data D), on which the file is checked.")
    prepared = load_prepared(spec, source.carried.data_config())
    inputs = some_inputs(prepared.data.val, CHECKED)
    size = tuple(inputs.shape[1:])
    net = source.net.cpu().eval()
    form = fuse(net, _TARGETS[to], input_size=size) if fused else net  # type: ignore[arg-type]  # points have two sides
    found: list[tuple[Table, tuple[str, ...]]] = []

    def ship(folder: Path) -> None:
        path = folder / FILES[to]
        config = source.carried.to_config()
        if to == "pt2":
            write_atomic(path, export_pt2(form, size, config))
        elif to == "openvino":
            save_openvino(onnx_bytes(form, size, None), config, path)
        else:
            write_atomic(path, with_metadata(onnx_bytes(form, size, None), config))
        told = agreement(net, open_file(path).net, inputs)
        if not told.close:
            raise UserError(
                f"the {to} file differs from the network by {told.difference:.2g}, of outputs up to {told.scale:.2g}: "
                f"nothing is kept{'; try --no-fuse' if fused else ''}."
            )
        rows = [Row("as trained", "torch", net, None), Row(f"{to}{', fused' if fused else ''}", to, None, path, told)]
        ways: tuple[Tried, ...] = ()
        if int8:
            eight, ways = quantised(path.read_bytes(), prepared.data.train)
            write_atomic(folder / INT8, with_metadata(eight, config))
            other = open_file(folder / INT8).net
            rows.append(Row(f"int8, {ways[0].name}", to, None, folder / INT8, agreement(net, other, inputs)))
        table = measure(rows, ways, source, prepared, spec, size)
        found.append((table, (*prepared.notes, *table.notes())))
        _finish(folder, source, to, *found[0])

    _write(target, ship)
    return Export(target, to, _names(target), *found[0])


def _checked(source: Source, to: str, out: str | os.PathLike[str], int8: bool) -> Path:
    if to not in FORMS:
        raise UserError(
            f"a network is exported to one of {', '.join(FORMS)}, not {to!r}.{did_you_mean(str(to), FORMS)}"
        )
    if int8 and to != "onnx":
        raise UserError(f"int8 is for onnx, not for {to}: leave it out, or export to onnx.")
    for name in _NEEDS[to]:
        package(name)
    if not isinstance(out, str | os.PathLike) or not str(out):
        raise UserError(f"out must be a folder's path, not {out!r}.")
    try:
        target = Path(os.path.abspath(out))
        with contextlib.suppress(FileNotFoundError):
            os.lstat(target)  # raises for what no path can be
        _refuse_other_content(target, to, source.digest)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{str(out)[:80]} cannot be written: {getattr(error, 'strerror', None) or error}.") from None
    return target


def _refuse_other_content(target: Path, to: str, digest: str) -> None:
    if target.is_symlink():
        raise UserError(f"{target} is a link, and nothing is written through links: name the folder itself.")
    if not target.exists():
        return
    if not target.is_dir():
        raise UserError(f"{target} is a file: name a folder.")
    there = {path.name for path in target.iterdir()}
    if not there:
        return
    try:
        origin = read_json(target / ORIGIN)
    except (OSError, ValueError):
        origin = None
    known = origin if isinstance(origin, dict) else {}
    others = there - {ORIGIN, *map(str, known.get("files") or ())}
    if others or not known:
        raise UserError(f"{target} has other content ({min(others or there)}): name another folder.")
    if (known.get("form"), known.get("network")) != (to, digest):
        raise UserError(
            f"{target} holds another export ({known.get('form')} of {known.get('name')}): name another folder."
        )


def _write(target: Path, fill: Callable[[Path], None]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replaced_folder(target) as folder:
            fill(folder)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}.") from None


def _finish(folder: Path, source: Source, to: str, table: Table, notes: tuple[str, ...]) -> None:
    """The card, and last what says that the folder is an export."""
    write_atomic(folder / "README.md", card(source, to, table.markdown(), notes))
    versions = {name: importlib.metadata.version(name) for name in ("torch", "timm", *_NEEDS[to])}
    origin = {
        "form": to,
        "name": source.name,
        "network": source.digest,
        "files": sorted(path.name for path in folder.iterdir()),
        **table.to_dict(),
        "notes": list(notes),
        "versions": versions,
    }
    write_json(folder / ORIGIN, origin)


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.name for path in folder.iterdir()))
