"""Images that are read while a network trains, by processes of torch's loader."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mgic_nas import UserError
from mgic_nas.tasks import load_data


@pytest.mark.timeout(120)
def test_an_image_that_is_gone_in_mid_training_is_one_line_without_the_loaders_traceback(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(6):
            pixels = np.full((140, 140, 3), 10 * i, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    data = load_data(f"{tmp_path}?size=140")
    for path in tmp_path.glob("*/*.png"):
        path.unlink()
    with pytest.raises(UserError) as refused:
        list(data.train.batches(4))
    said = str(refused.value)
    assert said.startswith(f"cannot read {tmp_path}")
    assert "Traceback" not in said
    assert "\n" not in said
