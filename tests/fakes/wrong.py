"""Wrong inputs as a user meets them: one line on stderr, exit code 2, and nothing on disk that was not there."""

import contextlib
import hashlib
import io
import lzma
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from mgic_nas.cli import main
from mgic_nas.errors import UserError

DATA = "fashion?train=200&val=700"  # so many that nothing is said of them
SPACE = """\
model: mgic_resnet20
kwargs: {depths: 1}
params:
  s_g: {choices: [4, 8]}
  width_mult: {choices: [0.25, 0.5]}
"""
#: A space with every part that one may have.
WHOLE_SPACE = """\
description: a test
model: mgic_resnet20
kwargs: {depths: 1}
params:
  s_g: {choices: [2, 4, 8]}
  s_c:
    choices: [8, 16]
  width_mult: {low: 0.25, high: 1.0, step: 0.25, per_stage: 3}
  block: {choices: [basic, bottleneck]}
where:
  - s_c >= s_g
  - width_mult[0] <= width_mult[1]
"""
#: A finished run of four tiny networks, trained by an earlier version.
FINISHED = Path(__file__).parents[1] / "compat" / "data" / "finished.tar.xz"


def unpack(folder: Path) -> Path:
    """The finished run as ``folder/run``."""
    with tarfile.open(fileobj=io.BytesIO(_finished())) as archive:
        archive.extractall(folder, filter="data")
    return folder / "run"


@cache
def _finished() -> bytes:
    return lzma.decompress(FINISHED.read_bytes())


def tree(folder: Path) -> dict[str, str]:
    """Path -> what is there, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = f"link to {os.readlink(path)}"
        elif path.is_file():
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path)] = "folder"
    return found


@contextlib.contextmanager
def unchanged(folder: Path, but: Sequence[str] = ()) -> Iterator[None]:
    """Asserts that nothing below ``folder`` is made, changed or removed, but files whose names are in ``but``."""
    before = tree(folder)
    yield
    after = tree(folder)
    changed = {p for p in before.keys() | after.keys() if before.get(p) != after.get(p)}
    assert not {p for p in changed if Path(p).name not in but}, changed


def call(argv: Sequence[str]) -> tuple[int | str | None, str, str]:
    """The exit code, stdout and stderr of a command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: int | str | None = main(argv)
        except SystemExit as stopped:  # argparse
            code = stopped.code
    return code, out.getvalue(), err.getvalue()


def refused(argv: Sequence[str], *words: str) -> str:
    """One line on stderr with these words, exit code 2, nothing on stdout, nothing new or changed in this folder."""
    with unchanged(Path.cwd()):
        code, out, err = call(argv)
    assert (code, out) == (2, ""), (code, out, err)
    check_line(err, words)
    return err


def check_line(text: str, words: Sequence[str]) -> None:
    """One line without control characters that has all of ``words``."""
    assert text.strip(), "nothing was said"
    assert len(text.strip().splitlines()) == 1, text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text.rstrip("\n")), repr(text)
    assert "Traceback" not in text
    assert not re.search(r"Error\(['\"]", text), text
    for word in words:
        assert word.lower() in text.lower(), f"{word!r} is not in {text!r}"


def one_line(error: UserError, *words: str) -> None:
    check_line(str(error), words)


def search(*changes: str, space: str = "space.yaml") -> list[str]:
    """A search of :data:`SPACE`, with options replaced: ``search("--budget", "5Q")``."""
    options = {
        "--data": DATA,
        "--budget": "1M",
        "--trials": "2",
        "--epochs": "1",
        "--executor": "local",
        "--concurrent": "1",
        "--out": "run",
    }
    options |= dict(zip(changes[::2], changes[1::2], strict=True))
    return ["search", space, *[f"{name}={value}" for name, value in options.items()]]
