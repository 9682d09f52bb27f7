"""Every option of every command with wrong values: one line that says how to mend it, and nothing made on disk."""

import subprocess
import sys
from pathlib import Path

import pytest
from fakes.table import make_table
from fakes.wrong import SPACE, call, check_line, refused, search, tree

pytestmark = pytest.mark.usefixtures("nothing_is_trained")

BUDGETS = [
    *("", " ", "5Q", "-1M", "+", "nan", "NaN", "inf", "0", "0.0", "1e400", "1e-400", "5M5", "M", "=5M", "macs="),
    *("macs==5M", "latency=", "latency=5", "latency=0ms", "latency=-5ms", "latency=5min", "flops=1M", "param=1M"),
    *("5 M M", "5,5M", "５M", "0x10M", "params=5ms", "macs=5s", "1e5k5", "0.5", "5M MACs", "<5M", "5M,10M"),
    *("latency=1e400s", "PARAMS=", "5M\n6M", "\x1b[31m5M", "5M ", "1e", "None", "true"),
    *("latency-onnxruntme=5ms", "latency-=5ms", "latency-onnxruntime=5", "latency-onnxruntime=5M", "latency--b8=5ms"),
    *("latency-openvino-t2-b8=5ms", "latency-openvino-b0=5ms", "latency-openvino-b1=5ms", "latency-openvino-b=5ms"),
    *("latency-openvino-x=5ms", "latency_openvino=5ms", "latency-jetson=5ms", "latency-../x=5ms", "macs-b8=5M"),
]


def train(*options: str) -> list[str]:
    """A command that would train a network: ``mgic_resnet20``, unless the first of the options names another."""
    name, rest = (options[0], options[1:]) if not options[0].startswith("--") else ("mgic_resnet20", options)
    return ["train", name, "--data=fashion?train=40&val=20", "--recipe=quick", "--epochs=2", "--out=out", *rest]


@pytest.mark.parametrize("budget", [b for b in BUDGETS if b != "5M "])
def test_a_wrong_budget(budget: str) -> None:
    refused(search("--budget", budget))


@pytest.mark.parametrize(
    "budget", ["5Q", "nan", "0", "latency=5", "flops=1M", "", "latency-openvino-b1=5ms", "latency-jetson=5ms"]
)
def test_a_wrong_budget_of_other_commands(budget: str) -> None:
    refused(["profile", "mgic_resnet20", f"--budget={budget}"])
    refused(["profile", "space.yaml", f"--budget={budget}"])
    refused(["record", "space.yaml", "--data=fashion", f"--budget={budget}", "--epochs=1", "--out=table"])


WRONG = {
    "--trials": ["", "x", "2.5", "1e3", "-3", "0", "nan", "0x10", "٣x", "Auto", "auto,5"],
    "--hours": ["", "x", "0", "-4", "nan", "inf", "4h"],
    "--worth": ["", "x", "0", "-0.1", "nan", "inf", "0.1%"],
    "--winner": ["", "best", "Expected", "expected,measured"],
    "--epochs": ["", "x", "2.5", "-1", "0", "inf"],
    "--concurrent": ["", "x", "0", "-1", "1.5"],
    "--gpus-per-trial": ["", "lots", "-1", "nan", "inf", "1.5", "Auto"],
    "--seed": ["", "x", "-1", "1.5", "1e3"],
    "--executor": ["", "dask", "Local", "ray,local"],
    "--sampler": ["tpee", "Cost", "cost+thaw", "../cost"],
    "--rungs": ["halv", "None", "asha"],
    "--recipe": ["slow", "Quick", "quick,lr=0.1", "{}"],
    "--keep": ["", "none", "Front"],
    "--data": [
        *("", " ", "?", "fashoin", "no/such/folder", "fashion?tain=10", "fashion?train=-1", "fashion?train=0"),
        *("fashion?train=nan", "fashion?val=60&val=60", "fashion?seed=-1", "fashion?size=0", "fashion?size=1x1x1"),
        *("fashion?chans=4", "fashion?train=99999999", "fashion&train=80", "points:", "segmentation:", "functions:"),
        *("functions:none", "images:", "tasks:fashion", "torch/", "torch/cifar10", "space.yaml", "\x1b[31mx"),
        *("~nobody/images", "x" * 300, "a/" * 3000, "s3://bucket/images", "fashion?root=."),
    ],
    "--latencies": ["", "space.yaml", "no.csv", "Jetson Nano.csv", "onnxruntime.csv", "folder", "x" * 300, "a\0b.csv"],
    "--out": ["space.yaml", "space.yaml/run", "x" * 300, "a/" * 3000, "/dev/null", "/dev/null/run", "folder"],
    "--storage": ["space.yaml", "/dev/null/x", "x" * 300],
    "--address": ["http://head:6379", "nobody.invalid:6379", "127.0.0.1:1", "127.0.0.1:x", "127.0.0.1:99999999"],
}


@pytest.mark.parametrize(("option", "value"), [(o, v) for o, values in WRONG.items() for v in values])
def test_a_wrong_value_of_a_search(option: str, value: str) -> None:
    Path("folder").mkdir()
    Path("folder/notes.txt").write_text("mine")
    argv = search(option, value)
    if option == "--address":
        argv = [word.replace("--executor=local", "--executor=ray") for word in argv]
    refused(argv)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], ["command"]),
        (["serach"], ["search"]),
        (["search"], ["space"]),
        (["search", "quickstart"], ["--data"]),
        (["search", "quickstart", "--data"], ["--data"]),
        (["search", "quickstart", "--dat", "fashion", "--budjet", "1M", "--trials", "1"], ["budget"]),
        (["search", "quickstart", "quickstart", "--data=fashion", "--budget=1M", "--trials=1"], ["quickstart"]),
        (search("--address", "127.0.0.1:1"), ["--executor ray"]),
        (search("--budget", "1k"), ["1k", "cannot be met", "nearest"]),
        (search("--budget", "latency-jetson=5ms"), ["unknown budget", "--latencies jetson.csv"]),
        (search("--budget", "latency-onnxrunt=5ms"), ["did you mean onnxruntime"]),
        (search("--budget", "latency-jetson=5ms", "--latencies", "jetson.csv"), ["jetson.csv is not there"]),
        (search("--latencies", "jetson.csv"), ["no budget is on jetson.csv"]),
        (search(space="nothing.yaml"), ["nothing.yaml"]),
        (search(space="quickstrat"), ["quickstart"]),
        (search(space=""), ["file"]),
        (search(space="."), ["folder"]),
        (search(space="/dev/null"), ["/dev/null"]),
        (search(space="x" * 300), ["xxx"]),
        (search(space="mgic_resnet20"), ["mgic_resnet20"]),
        (["models", "extra"], ["extra"]),
        (["models", "--jsn"], ["--jsn"]),
        (["profile"], ["SPACE|NAME"]),
        (["profile", ""], ["neither"]),
        (["profile", "mgic_resnet21"], ["mgic_resnet20"]),
        (["profile", "resnet18x"], ["resnet18"]),
        (["profile", "mgicify:"], ["unknown model"]),
        (["profile", "mgicify:resnet19"], ["resnet18"]),
        (["profile", "mgicify:mgic_resnet20"], ["neither"]),
        (["profile", "local-dir:."], ["neither"]),
        (["profile", "hf-hub:timm/resnet18"], ["neither"]),
        (["profile", "no.yaml"], ["no.yaml"]),
        (["profile", "mgic_resnet20", "--data=fashion", "--input-size=1,14,14"], ["not both"]),
        (["profile", "mgic_resnet20", "--data=fashion", "--num-classes=10"], ["not both"]),
        (["profile", "space.yaml", "--set=s_g=8"], ["--set"]),
        (["profile", "space.yaml", "--time"], ["--time"]),
        (["profile", "resnet18", "--input-size=1,1,1,1"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size=3,32"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size=3,0,32"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size=3,-32,32"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size=3,²,32"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size=3,1e2,32"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size=3,32.0,32"], ["C,H,W"]),
        (["profile", "resnet18", "--input-size="], ["C,H,W"]),
        (["profile", "resnet18", f"--input-size=3,{'9' * 5000},32"], ["C,H,W"]),
        (["profile", "resnet18", "--num-classes=0"], ["1 up"]),
        (["profile", "resnet18", "--num-classes=-5"], ["1 up"]),
        (["profile", "resnet18", "--num-classes=ten"], ["ten"]),
        (["profile", "mgic_resnet20", "--num-classes=0"], ["1 up"]),
        (["profile", "mgic_diffgcn", "--input-size=3,1,1"], ["11 points"]),
        (["profile", "vit_tiny_patch16_224", "--input-size=3,32,32"], ["3x32x32"]),
        (["profile", "mgic_resnet20", "--set=s_g"], ["s_g=8"]),
        (["profile", "mgic_resnet20", "--set==8"], ["name=value"]),
        (["profile", "mgic_resnet20", "--set="], ["name=value"]),
        (["profile", "mgic_resnet20", "--set=s_q=8"], ["s_g"]),
        (["profile", "mgic_resnet20", "--set=s_g="], ["no value"]),
        (["profile", "mgic_resnet20", "--set=s_g=8", "--set=s_g=4"], ["twice"]),
        (["profile", "mgic_resnet20", "--set=s_g=010"], ["octal", "10"]),
        (["profile", "mgic_resnet20", "--set=s_g=1:30"], ["base 60"]),
        (["profile", "mgic_resnet20", "--set=s_g=[1"], ["not a value"]),
        (["profile", "mgic_resnet20", "--set=s_g=2024-99-99"], ["not a value"]),
        (["profile", "mgic_resnet20", "--set=s_g=" + "[" * 3000], ["not a value"]),
        (["profile", "mgic_resnet20", "--set=s_g=!!python/object/apply:os.getcwd []"], ["not a value"]),
        (["profile", "mgic_resnet20", "--set=s_g=0"], ["s_g"]),
        (["profile", "mgic_resnet20", "--set=s_g=four"], ["s_g"]),
        (["profile", "mgic_resnet20", "--set=s_g=.nan"], ["s_g"]),
        (["profile", "mgic_resnet20", "--set=s_g={a: 1}"], ["s_g"]),
        (["profile", "mgic_resnet20", "--set=width_mult=-1"], ["width_mult"]),
        (["profile", "mgic_resnet20", "--set=width_mult=.inf"], ["width_mult"]),
        (["profile", "mgic_resnet20", "--set=block=basik"], ["basic"]),
        (["profile", "mgic_resnet20", "--set=num_classes=10"], ["num_classes"]),
        (["profile", "resnet18", "--set=checkpoint_path=evil.pth"], ["checkpoint_path"]),
        (["profile", "mgicify:resnet18", "--set=s_g=-4"], ["s_g"]),
        (["profile", "mgic_diffgcn", "--set=k=0"], ["k"]),
        (["report"], ["run"]),
        (["report", "a", "b", "--watch"], ["--watch", "one run"]),
        (["report", "a", "b", "--reference=x.csv"], ["--reference", "one run"]),
        (["report", "a", "b"], ["not a run"]),
        (["report", "a", "--out=x.html"], ["--out", "several runs"]),
        (["report", "a", "--apart"], ["--apart", "--reference"]),
        (["report", "nothing", "--watch"], ["not a run"]),
        (["report", ""], ["not a run"]),
        (["report", "nothing"], ["not a run"]),
        (["report", "space.yaml"], ["not a run"]),
        (["report", "."], ["not a run"]),
        (["report", "x" * 300], ["xxx"]),
        (["tables", "99"], ["99", "5, "]),
        (["tables", ""], ["no table"]),
        (["tables", "5.0"], ["5.0"]),
        (["tables", "５"], ["５"]),
        (["tables", "5", "--json", "--markdown"], ["--json"]),
        (["replay"], ["table"]),
        (["replay", "nothing"], ["not a recorded table"]),
        (["replay", "space.yaml"], ["space.yaml", "unknown key"]),
        (["replay", "x" * 300], ["xxx"]),
        (["replay", "nothing", "--seeds=0"], ["seeds"]),
        (["replay", "nothing", "--jobs=0"], ["jobs"]),
        (["replay", "nothing", "--concurrent=-1"], ["concurrent"]),
        (["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=0", "--out=t"], ["epochs"]),
        (["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--seeds=0", "--out=t"], ["seeds"]),
        (["record", "space.yaml", "--data=fashion", "--budget=latency=5ms", "--epochs=1", "--out=t"], ["latencies"]),
        (["record", "space.yaml", "--data=fashion", "--budget=1", "--epochs=1", "--out=t"], ["no architecture"]),
        (["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=space.yaml"], ["space.yaml"]),
        (["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=" + "x" * 300], ["xxx"]),
        (["record", "space.yaml", "--data=nope", "--budget=1M", "--epochs=1", "--out=t"], ["nope"]),
        (["record", "no.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=t"], ["no.yaml"]),
        (["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=t", "--recipe=x"], ["recipe"]),
        (
            ["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=t", "--concurrent=0"],
            ["concurrent"],
        ),
        (
            ["record", "space.yaml", "--data=fashion", "--budget=1M", "--epochs=1", "--out=t", "--gpus-per-trial=-1"],
            ["gpus-per-trial"],
        ),
        (["retrain"], ["run"]),
        (["retrain", "nothing"], ["not a run"]),
        (["retrain", "space.yaml", "--budget=1M"], ["not a run"]),
        (["train"], ["name", "--data"]),
        (["train", "mgic_resnet20"], ["--data"]),
        (train("mgic_resnet21"), ["mgic_resnet20"]),
        (train("local-dir:."), ["unknown model"]),
        (train("hf-hub:timm/resnet18"), ["unknown model"]),
        (train("vit_tiny_patch16_224"), ["cannot run on inputs of 1x14x14"]),
        (train("resnet18", "--set=pretrained=true"), ["pretrained", "scratch"]),
        (train("resnet18", "--set=checkpoint_path=evil.pth"), ["checkpoint_path"]),
        (train("--set=num_classes=10"), ["num_classes", "data"]),
        (train("--set=img_size=32"), ["img_size", "?size=32"]),
        (train("--set=s_q=8"), ["s_g"]),
        (train("--set=s_g"), ["s_g=8"]),
        (train("--set=s_g=0"), ["s_g"]),
        (train("--set-recipe=lr"), ["--set-recipe", "lr=0.05"]),
        (train("--set-recipe=lr=fast"), ["lr"]),
        (train("--set-recipe=lrr=0.1"), ["lr"]),
        (train("--set-recipe=ema_decay=1"), ["ema_decay", "between 0 and 1"]),
        (train("--set-recipe=grad_accum_steps=0"), ["grad_accum_steps"]),
        (train("--set-recipe=mixup=-1"), ["mixup"]),
        (train("--set-recipe=batch_size=33", "--set-recipe=cutmix=1.0"), ["even"]),
        (train("--set-recipe=amp=float8"), ["amp", "bfloat16"]),
        (train("--set-recipe=drop_path=1"), ["drop_path"]),
        (train("mgic_diffgcn", "--set-recipe=drop_path=0.1"), []),
        (train("--recipe=full", "--epochs=3"), ["warm-up", "warmup_epochs"]),
        (train("--recipe=slow"), ["recipe"]),
        (train("--epochs=0"), ["epochs"]),
        (train("--seeds=0"), ["seeds"]),
        (train("--seeds=two"), ["two"]),
        (train("--concurrent=0"), ["concurrent"]),
        (train("--gpus-per-trial=lots"), ["gpus-per-trial"]),
        (train("--executor=dask"), ["dask"]),
        (train("--weights=first"), ["first"]),
        (train("--weights=best", "--with-val"), ["last"]),
        (train("--teacher=resnet19"), ["resnet18"]),
        (train("--teacher=resnet18"), ["1,000 classes", "10"]),
        (train("--teacher=local-dir:nothing"), ["config.json"]),
        (train("--teacher=budget:1M"), ["local-dir"]),
        (train("--data=nope"), ["nope"]),
        (train("--data=functions:waves", "--set-recipe=mixup=1"), ["image"]),
        (train("--out=space.yaml"), ["space.yaml"]),
        (train("--out=" + "x" * 300), ["xxx"]),
        (["export"], ["RUN|FOLDER"]),
        (["export", "nothing", "--to=hf", "--out=out"], ["neither a run nor a folder"]),
        (["export", "space.yaml", "--to=hf", "--out=out"], ["neither a run nor a folder"]),
        (["export", "nothing", "--to=hf"], ["--out"]),
        (["export", "nothing", "--out=out"], ["--to"]),
        (["score"], ["RUN|FOLDER|FILE"]),
        (["score", "nothing"], ["nothing is not there"]),
        (["score", "space.yaml"], ["no network's file"]),
        (["score", "."], ["no network"]),
        (["score", "x" * 300], ["xxx"]),
        (["score", "nothing", "--split=all"], ["nothing is not there"]),
        (["score", "nothing", "--budget=1M"], ["no run"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_a_wrong_command(argv: list[str], words: list[str]) -> None:
    refused(argv, *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sampler=tpee"], ["tpee", "tpe"]),
        (["--sampler="], ["sampler"]),
        (["--sampler=+"], ["sampler"]),
        (["--sampler=cost+"], ["rungs", "thaw"]),
        (["--sampler=cost+halv"], ["halv"]),
        (["--sampler=cost+thaw+halving"], ["thaw+halving"]),
        (["--budget=params=1M"], ["MACs"]),
        (["--budget=latency=5ms"], ["MACs"]),
        (["--budget=1k"], ["cheapest"]),
        (["--budget=5Q"], ["5Q"]),
        (["--out=space.yaml"], ["space.yaml"]),
        (["--out=space.yaml/x"], ["space.yaml"]),
    ],
)
def test_a_wrong_replay(options: list[str], words: list[str], tmp_path: Path) -> None:
    make_table(tmp_path / "table", seeds=1)
    before = tree(tmp_path)
    code, _, err = call(["replay", "table", "--seeds=1", "--sampler=random", *options])
    assert code == 2
    check_line(err.splitlines()[-1], words)  # above it stands what was simulated
    assert tree(tmp_path) == before


def test_a_wrong_command_in_a_process_of_its_own() -> None:
    """What only a process shows: its exit code, and what libraries print while they are imported."""
    run = [sys.executable, "-m", "mgic_nas"]
    wrong = [b"search", b"space.yaml", b"--data=fash\xff", b"--budget=1M", b"--trials=1"]  # not UTF-8
    done = subprocess.run([*map(str.encode, run), *wrong], capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert {p.name for p in Path.cwd().iterdir()} == {"space.yaml"}
    assert Path("space.yaml").read_text() == SPACE
