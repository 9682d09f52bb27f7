"""The answers beside a result: read back as written, and never believed where they do not fit the result."""

import numpy as np
import pytest

from mgic_nas.train.right import FILE, read_right, write_right


@pytest.mark.parametrize("items", [1, 7, 8, 9, 2000])
def test_read_back_as_written(tmp_path, items):
    right = np.random.default_rng(items).random(items) < 0.8
    write_right(tmp_path, right)
    assert (tmp_path / FILE).stat().st_size == -(-items // 8), "a bit an item"
    found = read_right(tmp_path, items, 100 * right.mean())
    assert found is not None
    assert (found == right).all()


def test_what_is_not_of_this_result_is_not_believed(tmp_path):
    assert read_right(tmp_path, 80, 50.0) is None, "a run of an earlier version"
    write_right(tmp_path, np.arange(80) < 40)
    assert read_right(tmp_path, 80, 51.25) is None
    assert read_right(tmp_path, 72, 50.0) is None
    assert read_right(tmp_path, 800, 50.0) is None
    (tmp_path / FILE).write_bytes(b"")
    assert read_right(tmp_path, 80, 50.0) is None
