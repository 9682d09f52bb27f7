"""Networks in the runtimes that may run them: the same outputs, a time, and where it is kept."""

import gc
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import mgic_nas
from mgic_nas import UserError
from mgic_nas.cost.runtimes import RUNTIMES, prepare, runtime_latency, shipped_latency
from mgic_nas.cost.runtimes.cache import LatencyCache, cache_folder
from mgic_nas.cost.runtimes.kinds import RuntimeKind, csv_stem, is_latency, latency_title, runtime_kind
from mgic_nas.deploy.onnx_export import onnx_bytes
from mgic_nas.families import family

SIZE = (3, 32, 32)
RUNTIME = pytest.mark.parametrize(
    "runtime", ["torch", "onnxruntime", "openvino", pytest.param("compile", marks=pytest.mark.slow)]
)


def network(**kwargs: object) -> nn.Module:
    torch.manual_seed(0)
    return mgic_nas.fuse(timm.create_model("mgic_resnet20", depths=1, **kwargs))


def agree(runtime: str, net: nn.Module, size: tuple[int, ...], batch: int = 2) -> None:
    images = torch.randn(batch, *size)
    with torch.no_grad():
        expected = net(images)
    prepared = prepare(runtime, net, size, batch=batch)
    with prepared.active():
        found = prepared.outputs(images)
        again = prepared.outputs(torch.zeros_like(images))
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))
    assert not torch.equal(found, again)  # of other images: it is not a constant


@RUNTIME
def test_outputs_are_the_network_s(runtime: str) -> None:
    """Or the time is of something else: OpenVINO, left alone, computes in bfloat16 where the processor can."""
    agree(runtime, network(), SIZE, batch=3)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mgic_mobilenetv3_small_100", (3, 64, 64)),
        ("mgic_resnet18", (3, 64, 64)),
        ("mgicify:resnet18", (3, 64, 64)),
        ("vit_tiny_patch16_224", (3, 224, 224)),
        ("mgic_lraspp_mobilenetv3_small", (3, 64, 64)),
        ("implicit_mgic_mobilenetv3", (5, 1, 1)),
    ],
)
def test_each_family_is_exported(runtime: str, name: str, size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    agree(runtime, mgic_nas.fuse(family(name).build({}, 10, size[0])), size)


@RUNTIME
def test_time_is_of_a_whole_batch(runtime: str) -> None:
    one, many = (runtime_latency(runtime, network(), SIZE, batch=batch, seconds=0.2) for batch in (1, 16))
    assert 0 < one < many


def test_network_in_training_mode_on_two_threads_is_timed_and_threads_are_as_before() -> None:
    before = torch.get_num_threads()
    net = timm.create_model("mgic_resnet20", depths=1).train()
    assert shipped_latency("torch", net, SIZE, threads=2) > 0
    assert torch.get_num_threads() == before
    assert net.training  # the caller's network is as it was


def test_export_is_quiet_and_has_a_fixed_batch(capfd: pytest.CaptureFixture[str]) -> None:
    import onnx

    model = onnx.load_model_from_string(onnx_bytes(network(), SIZE, batch=4))
    shape = model.graph.input[0].type.tensor_type.shape
    assert [dim.dim_value for dim in shape.dim] == [4, *SIZE]
    assert capfd.readouterr() == ("", "")


class Unusual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x[:, 0, :2, :2]).real


def test_network_that_cannot_be_exported_is_one_line() -> None:
    with pytest.raises(UserError, match="Unusual cannot be exported to ONNX: ") as caught:
        prepare("onnxruntime", Unusual(), SIZE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("missing", ["own", "onnx"])
def test_missing_package_is_one_line_with_the_command(
    runtime: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = runtime if missing == "own" else missing
    monkeypatch.setitem(sys.modules, name, None)
    calls: list[Callable[[], object]] = [
        RUNTIMES.load(runtime).refuse_missing,
        lambda: prepare(runtime, network(), SIZE),
    ]
    for call in calls:
        with pytest.raises(UserError, match=f"pip install {name}"):
            call()


def test_unknown_runtime_names_the_known() -> None:
    with pytest.raises(UserError, match=r"Unknown runtime 'onnxruntme'. Did you mean onnxruntime\?"):
        prepare("onnxruntme", network(), SIZE)


def test_each_way_to_measure_has_one_name() -> None:
    """Names are columns and folders: two for one kind would measure it twice and show it twice."""
    for runtime in RUNTIMES:
        for batch in (1, 8, 12):
            for threads in (1, 2):
                kind = RuntimeKind(runtime, batch, threads)
                assert runtime_kind(str(kind)) == kind
                assert is_latency(str(kind))
                assert csv_stem(str(kind)) is None
    assert str(RuntimeKind("onnxruntime", 8, 2)) == "latency-onnxruntime-b8-t2"
    assert runtime_kind("latency") is None
    assert csv_stem("latency") is None
    assert csv_stem("latency-jetson-nano_2") == "jetson-nano_2"
    assert not is_latency("macs")
    assert latency_title("latency-openvino-b8-t2") == "Latency in openvino, batch 8, 2 threads"
    assert latency_title("latency-jetson") == "Latency by jetson.csv"


@pytest.mark.parametrize("suffix", ["-t2-b8", "-b1", "-t1", "-b08", "-b0", "-b8-b8", "-x", "-8", "-b8-", "-"])
def test_other_spellings_are_refused(suffix: str) -> None:
    with pytest.raises(UserError, match="latency-openvino"):
        runtime_kind(f"latency-openvino{suffix}")


KEY = {"processor": "P", "runtime": "onnxruntime 1.0", "threads": 1, "batch": 8, "input_size": [3, 32, 32]}


def test_cache_is_of_one_way_to_measure(tmp_path: Path) -> None:
    LatencyCache(KEY, tmp_path).put("a1", 0.25)
    assert LatencyCache(KEY, tmp_path).get("a1") == 0.25
    assert LatencyCache(KEY, tmp_path).get("a2") is None
    for name, other in {"processor": "Q", "runtime": "onnxruntime 1.1", "threads": 2, "batch": 1}.items():
        assert LatencyCache({**KEY, name: other}, tmp_path).get("a1") is None


def test_foreign_and_torn_lines_of_a_cache_are_none(tmp_path: Path) -> None:
    """A cache that lies makes every later search wrong; one that is broken must not end any."""
    cache = LatencyCache(KEY, tmp_path)
    cache.put("a1", 0.25)
    good = {"arch_id": "x", "seconds": 0.5, **KEY}
    bad = [{**good, "batch": 1}, {**good, "seconds": -1.0}, {**good, "seconds": "fast"}, {**good, "arch_id": 3}, [], 7]
    with open(cache.path, "ab") as stream:
        stream.write("\n".join(map(json.dumps, bad)).encode() + b"\n\xff\x00{]\n" + json.dumps(good).encode()[:-9])
    again = LatencyCache(KEY, tmp_path)
    assert again.get("a1") == 0.25
    assert again.get("x") is None
    again.put("a2", 0.75)  # after the half line
    assert LatencyCache(KEY, tmp_path).get("a2") == 0.75


def test_cache_that_cannot_be_read_or_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "latency").write_text("a file where the folder should be")
    cache = LatencyCache(KEY, tmp_path)
    cache.put("a1", 0.25)
    assert cache.get("a1") == 0.25
    assert LatencyCache(KEY, tmp_path).get("a1") is None
    folder = LatencyCache(KEY, tmp_path / "other").path
    folder.mkdir(parents=True)
    assert LatencyCache(KEY, tmp_path / "other").get("a1") is None


def test_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGIC_NAS_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("MGIC_NAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mgic_nas"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mgic_nas"


def test_two_networks_in_openvino_leave_the_process_able_to_have_children() -> None:
    """With a core for each, the one that ended last left a signal stack that was gone: a segmentation fault here."""
    before = signal.signal(signal.SIGCHLD, lambda *_: None)  # as torch's loaders do
    try:
        first, second = (prepare("openvino", network(), SIZE) for _ in range(2))
        del first
        del second
        gc.collect()
        assert subprocess.run(["true"], check=False).returncode == 0
    finally:
        signal.signal(signal.SIGCHLD, before)
