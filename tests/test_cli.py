"""The command line as a user meets it: wrong input is one line and exit code 2, and nothing is made on disk."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import traceback
from pathlib import Path
from typing import Any

import pytest
from fakes.wrong import SPACE

from mgic_nas.cli import EXTRA, main
from mgic_nas.engine.proposals import filters
from mgic_nas.space import budget

ROOT = Path(__file__).parents[1]
DATA = "fashion?train=80&val=60"


def search(space: str, out: Path, **changes: str) -> list[str]:
    options = {
        "data": DATA,
        "budget": "1M",
        "trials": "2",
        "epochs": "1",
        "executor": "local",
        "concurrent": "1",  # no probe of how many fit
        "out": str(out),
        **changes,
    }
    return ["search", space, *[word for key, value in options.items() for word in (f"--{key}", value)]]


def refused(capsys: pytest.CaptureFixture[str], argv: list[str], *words: str) -> None:
    """One line on stderr with these words, exit code 2, nothing on stdout."""
    capsys.readouterr()
    try:
        code = main(argv)
    except SystemExit as stopped:  # argparse
        code = stopped.code
    out, err = capsys.readouterr()
    assert code == 2, (out, err)
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in err, f"{word!r} is not in {err!r}"


@pytest.fixture
def space(tmp_path: Path) -> str:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return str(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("mgic_resnet20", "mgic_resnet21"), ["mgic_resnet21", "mgic_resnet20", "line 1"]),
        (("s_g:", "sg:"), ["'sg'", "s_g", "line 4"]),
        (("kwargs: {depths: 1}", "kwargs: {block: basik}"), ["basik", "basic"]),
        (("kwargs: {depths: 1}", "kwargs: {num_classes: 10}"), ["num_classes", "data", "line 2"]),
        (("{choices: [4, 8]}", "{choices: [4, 8"), ["line"]),
        (("{choices: [4, 8]}", "{choices: []}"), ["s_g", "line 4"]),
        (("kwargs: {depths: 1}", "where: ['s_g ==']"), ["s_g ==", "line 2"]),
        (("kwargs: {depths: 1}", "where: ['open(\"x\")']"), ["open", "line 2"]),
        (("kwargs: {depths: 1}", "where: ['s_x > 1']"), ["s_x", "line 2"]),
        (("kwargs: {depths: 1}", "where: ['s_g > 100']"), ["where"]),
    ],
)
def test_a_wrong_space_names_the_line_and_the_mend(capsys, tmp_path, change, words) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.replace(*change))
    refused(capsys, search(str(path), tmp_path / "run"), *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "fashoin"}, ["fashoin", "fashion"]),
        ({"data": "no/such/folder"}, ["no/such/folder"]),
        ({"data": "fashion?tain=10"}, ["tain", "train"]),
        ({"budget": "5Q"}, ["5Q"]),
        ({"budget": "0M"}, ["0M"]),
        ({"budget": "1k"}, ["1k", "cannot be met", "nearest", "1x14x14"]),
        ({"budget": "flops=1M"}, ["flops", "macs"]),
        ({"trials": "0"}, ["trials"]),
        ({"trials": "-3"}, ["trials"]),
        ({"trials": "many"}, ["trials"]),
        ({"epochs": "0"}, ["epochs"]),
        ({"sampler": "tpee"}, ["tpee", "tpe"]),
        ({"recipe": "slow"}, ["slow", "quick"]),
        ({"concurrent": "0"}, ["concurrent"]),
        ({"gpus-per-trial": "lots"}, ["gpus-per-trial"]),
        ({"executor": "dask"}, ["dask", "ray", "local"]),
    ],
)
def test_a_wrong_search_is_refused_before_anything_is_made(capsys, tmp_path, space, changes, words) -> None:
    refused(capsys, search(space, tmp_path / "run", **changes), *words)
    assert not (tmp_path / "run").exists()


def test_unknown_spaces_names_and_commands_get_suggestions(capsys, tmp_path) -> None:
    refused(capsys, search("quickstrat", tmp_path / "run"), "quickstart")
    refused(capsys, ["profile", "mgic_resnet55"], "mgic_resnet5")
    refused(capsys, ["profile", "mgic_resnet20", "--set", "s_g"], "s_g=8")
    refused(capsys, ["profile", "mgic_resnet20", "--set", "s_q=8"], "s_g")
    refused(capsys, ["profile", "mgic_resnet20", "--input-size", "32"], "3,32,32")
    refused(capsys, ["report", str(tmp_path)], str(tmp_path))
    refused(capsys, ["serach"], "search")
    refused(capsys, ["replay", "table.csv"], "no file table.csv", "recorded table")
    refused(capsys, ["retrain", "runs/demo"], "not a run")


def test_what_is_not_repeatable_is_refused_twice(capsys, tmp_path) -> None:
    twice = ["--budget", "1M", "--budget", "2M"]
    refused(capsys, ["score", "runs/cifar10_small", *twice], "--budget: given twice")
    refused(capsys, ["export", "runs/cifar10_small", "--to", "hf", "--out", "x", *twice], "--budget: given twice")
    for option in ("--from", "--data", "--sampler"):
        options = ["--data", "fashion", "--budget", "1M", "--out", str(tmp_path / "run")]
        refused(capsys, ["search", "quickstart", *options, option, "a", option, "b"], f"{option}: given twice")


def test_corrupt_data_is_named(capsys, tmp_path, space) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.parquet").write_bytes(b"PAR1 this is no parquet")
    refused(capsys, search(space, tmp_path / "run", data=str(folder)), "train.parquet")
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    rows = [{"img": {"bytes": png.getvalue()}, "label": i % 2} for i in range(40)]
    rows[7]["img"] = {"bytes": b"no image"}
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    refused(capsys, search(space, tmp_path / "run", data=str(folder)), "train.parquet", "7")
    assert not (tmp_path / "run").exists()


def test_a_run_resumes_extends_and_refuses_what_may_not_change(capsys, tmp_path, space) -> None:
    out = tmp_path / "run"
    assert main(search(space, out)) == 0
    first = capsys.readouterr().out
    assert "report" in first
    before = (out / "trials.csv").read_bytes()
    assert main(search(space, out)) == 0  # everything is done: nothing is trained again
    assert (out / "trials.csv").read_bytes() == before
    refused(capsys, search(space, out, epochs="2"), "epochs", "1", "2")
    refused(capsys, search(space, out, seed="1"), "seed")
    refused(capsys, search(space, out, data="fashion?train=90&val=60"), "data")
    refused(capsys, search("quickstart", out), "space")
    assert (out / "trials.csv").read_bytes() == before
    assert main([*search(space, out, trials="3", budget="0.9M"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["trials"] if isinstance(result["trials"], int) else len(result["trials"])
    assert len((out / "trials.csv").read_text().splitlines()) == 4
    shutil.rmtree(out / "winners")
    assert main(["report", str(out)]) == 0
    assert list((out / "winners").iterdir())
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious.txt").write_text("mine")
    refused(capsys, search(space, other), "other")
    assert [p.name for p in other.iterdir()] == ["precious.txt"]


def test_without_ray_the_line_is_clear(capsys, monkeypatch, tmp_path, space) -> None:
    """In an environment without ray: asked for it is refused, and the default says that it is local."""
    monkeypatch.setitem(sys.modules, "ray", None)  # neither found nor imported
    refused(capsys, search(space, tmp_path / "run", executor="ray"), "ray is not installed")
    assert not (tmp_path / "run").exists()
    words = search(space, tmp_path / "run", trials="1")
    i = words.index("--executor")
    assert main([*words[:i], *words[i + 2 :]]) == 0
    assert "local" in capsys.readouterr().err.splitlines()[0]


def test_without_the_search_extra_the_line_says_what_to_install(tmp_path, space) -> None:
    hide = "import sys; sys.modules['optuna'] = None; from mgic_nas.cli import main; sys.exit(main(sys.argv[1:]))"
    argv = [sys.executable, "-c", hide, *search(space, tmp_path / "run")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "optuna is not installed" in done.stderr.strip().splitlines()[-1]
    assert "mgic_nas[search]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_extra_is_what_the_line_says() -> None:
    """A missing package of the extra is one line; of any other it is a broken installation, with its traceback."""
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["search"]
    assert {re.match(r"[\w-]+", line)[0] for line in extra} <= EXTRA


def test_profile_and_models_answer_programs(capsys) -> None:
    assert main(["models", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "params", "macs", "input_size"} <= rows[0].keys()
    assert {"mgic_resnet20": True, "mgic_diffgcn": False}.items() <= {r["name"]: r["timm"] for r in rows}.items()
    assert main(["profile", "mgic_resnet56", "--set", "s_g=8", "--budget", "60M", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["macs"] == 66_466_432
    assert found["fits"] == {"60M": False}
    assert main(["profile", "quickstart", "--data", "fashion", "--budget", "0.1M", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["distinct"]
    assert main(["profile", "quickstart", "--data", "fashion", "--budget", "0.1M"]) == 0
    assert "cannot be met; the nearest has" in capsys.readouterr().out


def test_readme_commands_are_commands() -> None:
    """The README's search command parses, and CI runs its test command."""
    from mgic_nas._arguments import parser

    readme = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- search command -->\n```bash\n(.*?)```", readme, re.S)
    words = block[1].replace("\\\n", " ").split("mgic-nas ")[1].split()
    args = parser().parse_args(words)
    assert args.space == "quickstart"
    assert args.trials >= 12
    assert "<!-- test command -->" in readme
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


def test_a_budget_goes_a_short_way_from_the_command_line_to_the_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eleven functions, where there were 23 once: each further one is a room to know before a budget can be changed."""
    seen: list[str] = []
    limits = budget.hard_limits

    def stack() -> list[str]:
        frames = [f for f in traceback.extract_stack() if "/mgic_nas/" in f.filename and not f.name.startswith("<")]
        return [f"{Path(f.filename).name}:{f.name}" for f in frames]

    class Arrived(Exception):
        pass

    def read(self: Any) -> None:
        if not seen:  # the labels of a run are read too, elsewhere
            seen.extend([*stack(), "budget.py:Budget.__post_init__"])

    def arrived(budgets: Any) -> None:
        seen.extend([*stack(), "budget.py:hard_limits"])
        raise Arrived

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(budget.Budget, "__post_init__", read)
    monkeypatch.setattr(filters, "hard_limits", lambda budgets: arrived(limits(budgets)))
    with pytest.raises(Arrived):
        main(["search", "quickstart", "--data", "fashion", "--budget", "1M", "--trials", "2", "--executor", "local"])
    assert "cli.py:main" in seen
    assert "filters.py:__init__" in seen
    assert len(set(seen)) <= 11, sorted(set(seen))


def test_every_command_has_an_example_that_it_takes_and_lists_what_may_be_chosen() -> None:
    from mgic_nas._arguments import RECIPE_HELP, SAMPLER_HELP, parser
    from mgic_nas.engine.samplers.registry import SAMPLERS
    from mgic_nas.train.recipes import RECIPES

    [commands] = parser()._subparsers._group_actions  # type: ignore[union-attr]
    for name, command in commands.choices.items():  # type: ignore[union-attr]
        example = command.epilog.splitlines()[-1].removeprefix("example: mgic-nas ")
        args = parser().parse_args(shlex.split(example))
        assert args.command == name
    words = [word.strip(",") for line in SAMPLER_HELP.splitlines()[1:] for word in line[:33].split()]
    assert {name for name in SAMPLERS if ":" not in name} == {word for word in words if word != "Optuna's"}
    assert set(RECIPES) == {line.split()[0] for line in RECIPE_HELP.splitlines()[1:]}
