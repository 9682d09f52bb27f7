"""A task or a source of images is added from outside the package by one call, and the package needs no edit for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes.tasks import refused

from mgic_nas.tasks import load_data, metric_of, resolve_spec
from mgic_nas.tasks.images.parts import ArrayPart
from mgic_nas.tasks.images.sources import SOURCES, SourceKind
from mgic_nas.tasks.metrics import MIOU
from mgic_nas.tasks.registry import TASKS, TaskKind
from mgic_nas.tasks.spec import Spec


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone afterwards."""
    for registry in (TASKS, SOURCES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr("mgic_nas._registry._REGISTRATIONS", {})


class ArrayFile:
    """``/data/digits.npy``: grey images (N, H, W) of two classes, in turn."""

    classes = ("even", "odd")
    default_val = 0.25
    mixed_sizes = False

    def __init__(self, spec: Spec) -> None:
        spec.only_images()
        self.name = Path(spec.source).stem
        self._images = np.load(spec.source)

    def part(self, role: str) -> ArrayPart | None:
        labels = np.arange(len(self._images), dtype=np.int64) % 2
        return ArrayPart(self.name, self._images, labels) if role == "train" else None

    def test_count(self) -> int:
        return 0


ARRAY_FILE = SourceKind(lambda spec: spec.source.endswith(".npy"), f"{__name__}:ArrayFile")
NOISE = SourceKind(lambda spec: spec.source == "noise", f"{__name__}:Noise", is_path=False)


class Noise(ArrayFile):
    """A source that is a name."""

    def __init__(self, spec: Spec) -> None:
        self.name = "noise"
        self._images = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)


def test_a_file_of_another_kind_is_read_where_a_source_recognises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "digits.npy", np.random.default_rng(1).integers(0, 256, (16, 6, 6), dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    assert "name the folder" in refused(load_data, "digits.npy")
    SOURCES.register("npy", f"{__name__}:ARRAY_FILE")
    assert resolve_spec("digits.npy?val=4") == f"{tmp_path}/digits.npy?val=4"
    info = load_data("digits.npy").info
    assert (info.name, info.input_size, info.sizes) == ("digits", (1, 6, 6), {"train": 12, "val": 4, "test": 0})
    assert "'pool' does not apply" in refused(load_data, "digits.npy?pool=2")


def test_a_source_may_be_a_name() -> None:
    assert "neither embedded nor a folder" in refused(load_data, "noise")
    SOURCES.register("noise", f"{__name__}:NOISE")
    assert load_data("noise?val=2").spec == "noise?val=2"


def test_a_task_is_named_in_front_of_its_data(monkeypatch: pytest.MonkeyPatch) -> None:
    assert metric_of("depth:x").name == "top-1 accuracy"
    TASKS.register("depth", "fakes.tasks:DEPTH")
    monkeypatch.setattr("fakes.tasks.DEPTH", TaskKind(MIOU, "mgic_nas.tasks.functions"), raising=False)
    assert metric_of("depth:x").name == "mIoU"
    assert resolve_spec("depth:waves?val=5&train=9") == "depth:waves?train=9&val=5"


def test_what_workers_cannot_import_is_not_registered() -> None:
    """Else a search would end in its first training."""
    with pytest.raises(TypeError, match="module:attribute"):
        SOURCES.register("noise", NOISE)


def test_looking_for_a_source_imports_nothing_heavy() -> None:
    code = "import sys, mgic_nas.tasks.images.sources as s; s.SOURCES.load('parquet'); print({*sys.modules} & {%s})"
    heavy = "'torch', 'timm', 'PIL', 'pyarrow', 'torchvision'"
    done = subprocess.run([sys.executable, "-c", code % heavy], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "set()", done.stderr
