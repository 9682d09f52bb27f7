"""Makes the embedded ``fashion`` data set from the four files of Fashion-MNIST.

    python -m mgic_nas.tasks.embedded.make_fashion FOLDER [--out FOLDER]

FOLDER holds ``train-images-idx3-ubyte.gz`` and its three siblings (Debian's package dataset-fashion-mnist puts
them in /usr/share/datasets/fashion-mnist). Of each class the first 700 training and the first 100 test images are
taken, and each 2x2 block of pixels becomes its mean, rounded half up. Nothing is drawn at random.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..images.idx import pool, read_idx
from ..layout import idx_name
from . import CLASSES, PER_CLASS, sheet_path, to_sheet


def subset(folder: Path, part: str) -> np.ndarray:
    """The images of ``part``, class after class: uint8 (10 * images a class, 14, 14)."""
    images, labels = (read_idx(folder / f"{idx_name(part, what)}.gz") for what in ("images", "labels"))
    chosen = [np.flatnonzero(labels == label)[: PER_CLASS[part]] for label in range(len(CLASSES))]
    return pool(images[np.concatenate(chosen)])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder with the four .gz files")
    parser.add_argument("--out", type=Path, default=sheet_path("train").parent, help="where the sheets go")
    options = parser.parse_args(arguments)
    for part in PER_CLASS:
        target = options.out / sheet_path(part).name
        Image.fromarray(to_sheet(subset(options.folder, part))).save(target, optimize=True)
        print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
