"""Networks that are no timm names are costed, built, searched and trained like the others."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

import mgic_nas
from mgic_nas.cost.count import count
from mgic_nas.errors import UserError
from mgic_nas.families import family, network_names
from mgic_nas.families.names import NETWORKS, create_model_line
from mgic_nas.families.networks import MODULES, networks
from mgic_nas.space import SearchSpace

LARGE, SMALL = "mgic_lraspp_mobilenetv3_large", "mgic_lraspp_mobilenetv3_small"


def test_the_names_that_lines_are_printed_by() -> None:
    """A network that is missing there would be printed as a timm name, which timm does not know."""
    assert {module: tuple(networks(module)) for module in MODULES} == NETWORKS


def test_names() -> None:
    assert {LARGE, SMALL, "dgcnn", "mgic_diffgcn", "implicit_mgic_mobilenetv3"} <= set(network_names())
    with pytest.raises(UserError, match="Did you mean mgic_lraspp_mobilenetv3_large"):
        family("mgic_lraspp_mobilenet_large")


@pytest.mark.parametrize("name", network_names())
def test_cost_is_that_of_the_built_network(name: str) -> None:
    known = family(name)
    size = (3, 64, 64) if known.input_size[1] > 1 and known.input_size[2] > 1 else known.input_size
    net = known.build({}, 7, size[0], device=torch.device("meta"))
    assert known.cost({}, size, 7) == count(net, size)
    assert net(torch.empty(2, *size, device="meta")).shape[:2] == (2, 7)
    assert not known.arguments & {"num_classes", "num_outputs", "in_chans", "device", "dtype", "self", "kwargs"}


def test_profile_takes_the_name() -> None:
    assert mgic_nas.profile(SMALL, s_g=64).params == 495_494


def test_one_architecture_has_one_canonical_form() -> None:
    known = family(LARGE)
    assert known.canonical({"s_g": 64}) == known.canonical({}) == known.canonical({"s_g": 64, "filters": 128})
    assert known.canonical({"s_g": 160, "s_c": 200}) == known.canonical({"s_g": 128, "s_c": 300})
    assert len(known.arch_id({})) == 12
    others = [{"s_g": 32}, {"filters": 64}, {"drop_path_rate": 0.1}, {"width_mult": [0.5] * 6}, {"act_layer": "relu"}]
    assert len({known.arch_id(config) for config in [{}, *others]}) == 6
    assert family(SMALL).arch_id({}) != known.arch_id({})
    points = family("mgic_diffgcn")
    assert points.arch_id({"k": 9}) != points.arch_id({}) == points.arch_id({"k": 10})


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("mgic_diffgcn", {"width": [24, 32], "s_g": [4, 32], "s_c": [6, 8, 64], "min_levels": [0, 2]}),
        ("implicit_mgic_mobilenetv3", {"c_max": [32, 64], "s_g": [4, 64], "s_c": [16, 64], "min_groups": [1, 2]}),
        ("implicit_ghostnet", {"c_max": [32, 64], "s_g": [4, 16], "min_levels": [0, 1]}),
        (SMALL, {"s_g": [16, 128], "s_c": [64, 1024], "min_levels": [0, 1]}),
    ],
)
def test_two_ids_are_two_networks(name: str, space: dict[str, list[Any]]) -> None:
    """A network is trained once, whatever arguments say it: by all modules, their sizes and groups."""
    known = family(name)
    by_id: dict[str, set[str]] = {}
    by_network: dict[str, set[str]] = {}
    for values in itertools.product(*space.values(), ["auto", "none"]):
        config = dict(zip([*space, "levels"], values))
        network = repr(known.build(config, 10, known.input_size[0], device="meta"))
        by_id.setdefault(known.arch_id(config), set()).add(network)
        by_network.setdefault(network, set()).add(known.arch_id(config))
    assert all(len(found) == 1 for found in [*by_id.values(), *by_network.values()])
    assert len(by_id) > 1


def test_a_start_is_part_of_the_id_where_there_is_something_to_start() -> None:
    start = {"transfer_init": "aggregation", "zero_init_correction": True}
    for name in ("mgic_diffgcn", "implicit_mgic_mobilenetv3"):
        known, plain = family(name), {"levels": "none"}
        assert known.arch_id(start) != known.arch_id({})
        assert known.arch_id(start | plain) == known.arch_id(plain) == known.arch_id({"s_c": 128, "s_g": 7} | start)
    assert family("mgic_diffgcn").arch_id({}) == "315e5fdcc003"  # as in the first version
    assert family("implicit_mgic_mobilenetv3").arch_id({}) == "e4cde8f1ff69"


@pytest.mark.parametrize(
    ("name", "config", "part"),
    [
        (LARGE, {"s_gg": 3}, "no argument 's_gg'"),
        (LARGE, {"layout": "small"}, "no argument 'layout'"),
        (LARGE, {"s_g": 0}, "s_g must be"),
        (LARGE, {"act_layer": "nonsense"}, "nonsense"),
        ("dgcnn", {"s_g": 3}, "no argument 's_g'"),
        ("implicit_ghostnet", {"s_c": 3}, "cannot be built"),
    ],
)
def test_a_wrong_config_is_refused_in_one_line(name: str, config: dict, part: str) -> None:
    with pytest.raises(UserError, match=part) as caught:
        family(name).cost(config, (3, 64, 64), 10)
    assert "\n" not in str(caught.value)


def test_a_space_over_segmentation_networks() -> None:
    """Settings that give the same network count once."""
    params = {"s_g": {"choices": [8, 16]}, "s_c": {"choices": [16, 64]}, "depths": {"choices": [1]}}
    space = SearchSpace.from_dict({"model": SMALL, "params": params}, source="test")
    ids = {space.arch_id(setting) for setting in space.settings()}
    assert len(ids) == 3  # at s_c = 64 no width is halved, and s_g says nothing
    assert space.cost(next(space.settings()), (3, 64, 64), 4).macs > 0


def test_a_winner_carries_how_its_images_were_prepared() -> None:
    overlay = {"mean": (0.1, 0.2, 0.3), "input_size": (3, 32, 32)}
    net = family(SMALL).build({"depths": 1}, 4, 3, pretrained_cfg_overlay=overlay)
    assert net.pretrained_cfg == overlay
    assert mgic_nas.profile(net).macs == count(net, (3, 32, 32)).macs


def test_a_segmentation_network_trains_as_a_candidate(tmp_path: Path) -> None:
    """What a search does with it: the loop, the task's data and metric, the record."""
    from mgic_nas.train import Job, Setup, get_recipe, work

    setup = Setup(
        model=SMALL,
        data="segmentation:shapes?train=32&val=8&size=32",
        epochs=1,
        recipe=get_recipe({"name": "quick", "batch_size": 8}),
        folder=str(tmp_path / "trials"),
        threads=torch.get_num_threads(),
        device="cpu",
    )
    config = {"s_g": 8, "s_c": 16, "depths": 1, "filters": 16}
    job = Job(number=0, attempt=0, config=config, first_epoch=0, last_epoch=1, checkpoint=None, seed=0)
    (row,) = work(job, setup)
    assert 0 < row["val_acc"] <= 100
    assert (tmp_path / "trials" / "0" / "attempt-0" / "result.json").is_file()


@pytest.mark.parametrize(
    ("name", "config", "outputs", "channels"),
    [
        (SMALL, {"s_g": 8, "depths": 1, "width_mult": [0.5, 0.5, 1.0, 1.0, 1.0]}, 4, 3),
        ("dgcnn", {"k": 5}, 10, 3),
        ("implicit_ghostnet", {"c_max": 64}, 1, 5),
        ("mgicify:resnet10t", {"s_g": 16, "s_c": 64}, 7, 1),
        ("mgic_resnet20", {"depths": 1, "block": "inverted_residual"}, 10, 1),
        ("resnet10t", {}, 10, 1),
    ],
)
def test_a_printed_line_works_when_it_is_pasted(name: str, config: dict, outputs: int, channels: int) -> None:
    """After `import timm, mgic_nas` and nothing else."""
    line = create_model_line(name, config, outputs, channels)
    with torch.random.fork_rng(devices=[]):
        net = eval(line, {"timm": timm, "mgic_nas": mgic_nas})
        expected = family(name).build(config, outputs, channels)
    assert {k: v.shape for k, v in net.state_dict().items()} == {k: v.shape for k, v in expected.state_dict().items()}
