"""A pt2 archive may be anybody's: what torch would unpickle, load or call beside tensor operations is refused."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mgic_nas.deploy.pt2_file import export_pt2, open_pt2
from mgic_nas.errors import UserError


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 3)).eval()
    path = tmp_path_factory.mktemp("pt2") / "net.pt2"
    path.write_bytes(export_pt2(net, (1, 4, 4), {"num_classes": 3}))
    return path


def test_what_was_written_comes_back(archive: Path) -> None:
    run, config, runtime = open_pt2(archive)
    assert run(torch.zeros(5, 1, 4, 4)).shape == (5, 3)
    assert config == {"num_classes": 3}
    assert runtime.startswith("torch.export 2")


def test_inputs_of_another_size_are_one_line(archive: Path) -> None:
    run, _, _ = open_pt2(archive)
    with pytest.raises(UserError, match="does not run on inputs"):
        run(torch.zeros(5, 1, 9, 9))


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemError('unpickled')",))


def _calls(name: str, content: bytes) -> bytes:
    return content.replace(b"torch.ops.aten.linear.default", b"torch.hub.load") if "models/" in name else content


def _pickles(name: str, content: bytes) -> bytes:
    return content.replace(b'"use_pickle": false', b'"use_pickle": true') if "weights_config" in name else content


def _samples(name: str, content: bytes) -> bytes:
    if not name.endswith("model.pt"):
        return content
    stream = io.BytesIO()
    torch.save(Evil(), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [(_calls, "calls torch.hub.load"), (_pickles, "names a pickle"), (_samples, "more than tensors")],
)
def test_code_is_refused(archive: Path, tmp_path: Path, change: Callable[[str, bytes], bytes], words: str) -> None:
    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(archive) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as made:
        for name in given.namelist():
            made.writestr(name, change(name, given.read(name)))
    with pytest.raises(UserError, match=words):
        open_pt2(path)


@pytest.mark.parametrize("name", ["data/aotinductor/model/net.so", "data/constants/custom_obj_0", "code/x.py"])
def test_a_part_of_another_kind_is_refused(archive: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(path, "a") as made:
        made.writestr(f"net/{name}", pickle.dumps(Evil()))
    with pytest.raises(UserError, match="no part of a plain network"):
        open_pt2(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04" + bytes(100)])
def test_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pt2"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is no pt2 archive") as error:
        open_pt2(path)
    assert "\n" not in str(error.value)


def test_an_empty_archive_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as made:
        made.writestr("net/models/model.json", json.dumps({}))
    with pytest.raises(UserError, match="cannot be opened"):
        open_pt2(tmp_path / "net.pt2")
