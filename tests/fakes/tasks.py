"""Small data sets on disk, and the shape of a good error message."""

import io
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mgic_nas.errors import UserError


def refused(call: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The message with which a call is refused: one line, as the command line prints it."""
    with pytest.raises(UserError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def picture(label: int, number: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    """A noisy image whose brightness tells its class; the same for the same numbers."""
    rng = np.random.default_rng((label, number))
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], 3)
    return Image.fromarray(rng.integers(0, 60, shape, dtype=np.uint8) + np.uint8(60 * label))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, as PIL writes none of colours: (H, W) grey, (H, W, 2) with alpha, (H, W, 3), ..."""
    height, width = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.size // (height * width)]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_parquet(
    path: Path,
    labels: Sequence[int | None],
    *,
    image: str = "img",
    label: str = "label",
    names: Sequence[str] | None = None,
    images: Sequence[bytes | None] | None = None,
    size: tuple[int, int] = (8, 8),
    mode: str = "RGB",
    row_group_size: int | None = None,
) -> None:
    """A table as Hugging Face's ``datasets`` writes it."""
    if images is None:
        images = [encoded(picture(hash(lab) % 4, row, size, mode)) for row, lab in enumerate(labels)]
    table = pa.table(
        {
            image: pa.array(
                [{"bytes": content, "path": f"{row}.png"} for row, content in enumerate(images)],
                type=pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            label: pa.array(list(labels), type=pa.int64()),
        }
    )
    if names is not None:
        features = {image: {"_type": "Image"}, label: {"_type": "ClassLabel", "names": list(names)}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=row_group_size)


def write_folder(
    root: Path, classes: Sequence[str], count: int, *, size: tuple[int, int] = (8, 8), mode: str = "RGB"
) -> None:
    """``root/<class>/<number>.png``."""
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(label, number, size, mode).save(root / name / f"{number}.png")
