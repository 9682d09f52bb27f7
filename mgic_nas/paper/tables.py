"""What the paper prints, typed as it is printed, and which network here stands for each row.

Eliasof, Ephrath, Ruthotto, Treister: "MGIC: Multigrid-in-Channels Neural Network Architectures", SIAM J. Sci.
Comput. 45 (2023). Nothing here is computed, and nothing that is computed is typed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .notes import NOTES


@dataclass(frozen=True)
class Recorded:
    """Where a training of ours is recorded: rows of ``<runs>/<file>`` whose columns match, and the value's column."""

    file: str
    match: Mapping[str, str]
    column: str


@dataclass(frozen=True)
class Line:
    """One row of a table. Quantities are the paper's own digits: "15.1 M", "2.5 G", "3,328"; "" where it has none.

    ``network`` is what :func:`mgic_nas.paper.count.network_cost` counts, "" where there is nothing to count.
    """

    name: str
    params: str = ""
    macs: str = ""
    score: str = ""
    network: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    recorded: Recorded | None = None


@dataclass(frozen=True)
class Table:
    """One table: groups of lines under a heading ("" for none), all at one input size."""

    number: str
    title: str
    input_size: tuple[int, ...]
    num_classes: int | None
    score: str  # what the last column is
    groups: tuple[tuple[str, tuple[Line, ...]], ...]

    @property
    def note(self) -> str:
        """Why what differs differs."""
        return NOTES[self.number]


def _line(name: str, params: str = "", macs: str = "", score: str = "", network: str = "", **config: Any) -> Line:
    return Line(name, params, macs, score, network, config)


def _cifar(name: str, params: str, macs: str, score: str, s_c: int, s_g: int) -> Line:
    return _line(name, params, macs, score, "mgic_resnet56", s_c=s_c, s_g=s_g)


def _large(s_c: int, s_g: int, params: str, top1: str) -> Line:
    name = f"s_c = {s_c}, s_g = {s_g}"
    return _line(name, params, "", top1, "mgic_mobilenetv3_large_100", s_c=s_c, s_g=s_g)


def _coarse(s_g: int, params: str, mse: str) -> Line:
    recorded = Recorded("coarse/results.csv", {"s_g": str(s_g)}, "mse")
    return Line(f"s_g = {s_g}", params, "", mse, "coarse", {"s_g": s_g}, recorded)


def _points(name: str, params: str, macs: str, score: str, network: str) -> Line:
    recorded = Recorded("points/results.csv", {"network": network}, "test_acc")
    return Line(name, params, macs, score, f"points:{network}", {}, recorded)


_TABLE_1 = Table(
    "1",
    "Coarse channel representation: 64 channels to 8 and back by R and P alone; MACs of one pixel",
    (64, 1, 1),
    None,
    "MSE",
    (
        (
            "",
            (
                _coarse(32, "3,328", "0.011"),
                _coarse(16, "1,792", "0.013"),
                _coarse(8, "896", "0.017"),
                _coarse(4, "448", "0.024"),
            ),
        ),
    ),
)

_TABLE_3 = Table(
    "3",
    "ResNet-56 on CIFAR-10",
    (3, 32, 32),
    10,
    "top-1 %",
    (
        (
            "",
            (
                _line("ResNet-56", "0.85 M", "125 M", "93.0", "plain_resnet56"),
                _line("CP", "", "63 M", "92.0"),
                _line("l1 pruning", "", "91 M", "92.5"),
                _line("AMC", "", "63 M", "91.9"),
                _line("Ghost-ResNet-56", "0.43 M", "63 M", "92.7"),
                _cifar("MGIC-ResNet-56 (s_c = 16, s_g = 8)", "0.41 M", "60 M", "94.2", 16, 8),
            ),
        ),
        (
            "not in the paper",
            (
                _line("MGIC-ResNet-20", "", "", "", "mgic_resnet20"),
                _line("MGIC-ResNet-20, inverted residual", "", "", "", "mgic_resnet20", block="inverted_residual"),
                _line("MGIC-ResNet-56, inverted residual", "", "", "", "mgic_resnet56", block="inverted_residual"),
                _line("MGIC-ResNet-20, bottleneck", "", "", "", "mgic_resnet20", block="bottleneck"),
                _line("MGIC-ResNet-56, bottleneck", "", "", "", "mgic_resnet56", block="bottleneck"),
            ),
        ),
    ),
)

_TABLE_5 = Table(
    "5",
    "ResNet-50 on ImageNet",
    (3, 224, 224),
    1000,
    "top-1 / top-5 %",
    (
        (
            "2 G and more",
            (
                _line("ResNet-50", "25.6 M", "4.1 G", "75.3", "resnet50"),
                _line("ThiNet", "16.9 M", "2.6 G", "72.1"),
                _line("Versatile", "11.0 M", "3.0 G", "74.5"),
                _line("SSS", "", "2.8 G", "74.2"),
                _line("Ghost", "13.0 M", "2.2 G", "75.0"),
                _line("MGIC-ResNet-50 (s_g = 64)", "15.1 M", "2.5 G", "77.9 / 93.7", "mgic_resnet50", s_g=64),
            ),
        ),
        (
            "about 1 G",
            (
                _line("Shift", "6.0 M", "", "70.6"),
                _line("Taylor-FO-BN", "7.9 M", "1.3 G", "71.7"),
                _line("Slimmable 0.5x", "6.9 M", "1.1 G", "72.1"),
                _line("MetaPruning", "", "1.0 G", "73.4"),
                _line("Ghost (s = 4)", "6.5 M", "1.2 G", "74.1"),
                _line("MGIC-ResNet-50 (s_g = 32)", "9.4 M", "1.6 G", "75.8 / 92.9", "mgic_resnet50", s_g=32),
                _line("MGIC-ResNet-50 (s_g = 16)", "6.2 M", "1.0 G", "74.3 / 92.0", "mgic_resnet50", s_g=16),
            ),
        ),
        (
            "not in the paper",
            (
                _line("MGIC-ResNet-18 (s_g = 64)", "", "", "", "mgic_resnet18"),
                _line("MGIC-ResNet-34 (s_g = 64)", "", "", "", "mgic_resnet34"),
                _line("MGIC-ResNet-101 (s_g = 64)", "", "", "", "mgic_resnet101"),
                _line("MGIC-ResNeXt-50 32x4d (s_g = 64)", "", "", "", "mgic_resnext50_32x4d"),
            ),
        ),
    ),
)

_TABLE_7 = Table(
    "7",
    "MobileNets on ImageNet",
    (3, 224, 224),
    1000,
    "top-1 / top-5 %",
    (
        (
            "about 50 M",
            (
                _line("ShuffleNetV1 0.5x", "1.0 M", "40 M", "58.8"),
                _line("MobileNetV2 0.35x", "1.7 M", "59 M", "60.3", "mobilenetv2_035"),
                _line("ShuffleNetV2 0.5x", "1.4 M", "41 M", "61.1", "torchvision:shufflenet_v2_x0_5"),
                _line("MobileNeXt 0.35x", "1.8 M", "80 M", "64.7"),
                _line("MobileNetV3-S 0.75x", "2.4 M", "44 M", "65.4", "mobilenetv3_small_075"),
                _line("GhostNet 0.5x", "2.6 M", "42 M", "66.2", "ghostnet_050"),
                _line("MGIC-MobileNetV3-L 0.6x", "2.3 M", "48 M", "67.0 / 87.3", "mgic_mobilenetv3_large_060"),
                _line("  no h-swish", "", "45 M", "66.8 / 86.9", "mgic_mobilenetv3_large_060", act_layer="relu"),
            ),
        ),
        (
            "about 150 M",
            (
                _line("MobileNetV1 0.5x", "1.3 M", "150 M", "63.3"),
                _line("MobileNetV2 0.6x", "2.2 M", "141 M", "66.7"),
                _line("ShuffleNetV1 1.0x", "1.9 M", "138 M", "67.8"),
                _line("ShuffleNetV2 1.0x", "2.3 M", "146 M", "69.4", "torchvision:shufflenet_v2_x1_0"),
                _line("MobileNeXt 0.75x", "2.5 M", "210 M", "72.0"),
                _line("MobileNetV3-L 0.75x", "4.0 M", "155 M", "73.3", "mobilenetv3_large_075"),
                _line("GhostNet 1.0x", "5.2 M", "141 M", "73.9", "ghostnet_100"),
                _line("MGIC-MobileNetV3-L 1.0x", "5.2 M", "145 M", "74.8 / 92.0", "mgic_mobilenetv3_large_100"),
                _line("  no h-swish", "", "138 M", "74.3 / 91.6", "mgic_mobilenetv3_large_100", act_layer="relu"),
            ),
        ),
        (
            "200 M and more",
            (
                _line("MobileNetV2 1.0x", "3.5 M", "300 M", "71.8", "mobilenetv2_100"),
                _line("ShuffleNetV2 1.5x", "3.5 M", "299 M", "72.6", "torchvision:shufflenet_v2_x1_5"),
                _line("FE-Net", "3.7 M", "301 M", "72.9"),
                _line("FBNet-B", "4.5 M", "295 M", "74.1"),
                _line("ProxylessNAS", "4.1 M", "320 M", "74.6"),
                _line("MnasNet-A1", "3.9 M", "312 M", "75.2", "semnasnet_100"),
                _line("MobileNeXt 1.0x", "3.4 M", "300 M", "74.0"),
                _line("MobileNetV3-L 1.0x", "5.4 M", "219 M", "75.2", "mobilenetv3_large_100"),
                _line("GhostNet 1.3x", "7.3 M", "226 M", "75.7", "ghostnet_130"),
                _line("MGIC-MobileNetV3-L 1.2x", "7.1 M", "233 M", "76.1 / 93.2", "mgic_mobilenetv3_large_120"),
                _line("  no h-swish", "", "217 M", "76.2 / 93.4", "mgic_mobilenetv3_large_120", act_layer="relu"),
            ),
        ),
        ("not in the paper", (_line("MGIC-MobileNetV3-S 1.0x", "", "", "", "mgic_mobilenetv3_small_100"),)),
    ),
)

_TABLE_9 = Table(
    "9",
    "MobileNetV3 with LR-ASPP on Cityscapes",
    (3, 1024, 2048),
    19,
    "mIoU %",
    (
        (
            "",
            (
                _line("MobileNetV3-S", "0.47 M", "2.90 G", "68.38", "lraspp:mobilenet_v3_small"),
                _line(
                    "MGIC-MobileNetV3-S (s_g = 64)",
                    "0.48 M",
                    "2.73 G",
                    "68.52",
                    "segmentation:mgic_lraspp_mobilenetv3_small",
                    s_g=64,
                ),
                _line("MobileNetV3-L", "1.51 M", "9.74 G", "72.64", "lraspp:mobilenet_v3_large"),
                _line(
                    "MGIC-MobileNetV3-L (s_g = 32)",
                    "1.32 M",
                    "8.87 G",
                    "71.02",
                    "segmentation:mgic_lraspp_mobilenetv3_large",
                    s_g=32,
                ),
                _line(
                    "MGIC-MobileNetV3-L (s_g = 64)",
                    "1.67 M",
                    "9.62 G",
                    "72.69",
                    "segmentation:mgic_lraspp_mobilenetv3_large",
                    s_g=64,
                ),
            ),
        ),
    ),
)

_TABLE_11 = Table(
    "11",
    "Point clouds: ModelNet-10, 1,024 points, k = 10",
    (3, 1024),
    10,
    "accuracy %",
    (
        (
            "",
            (
                _points("DGCNN", "0.16 M", "125 M", "91.6", "dgcnn"),
                _points("diffGCN", "0.57 M", "64 M", "92.5", "diffgcn"),
                _points("MGIC-diffGCN", "0.11 M", "13.7 M", "92.9", "mgic_diffgcn"),
            ),
        ),
    ),
)

_TABLE_12 = Table(
    "12",
    "MGIC-ResNet-56 on CIFAR-10: s_c and s_g",
    (3, 32, 32),
    10,
    "top-1 %",
    (
        (
            "s_c varies",
            (
                _cifar("s_c = 64, s_g = 16", "0.53 M", "91 M", "94.7", 64, 16),
                _cifar("s_c = 32, s_g = 16", "0.50 M", "76 M", "94.6", 32, 16),
                _cifar("s_c = 16, s_g = 16", "0.47 M", "65 M", "94.3", 16, 16),
            ),
        ),
        (
            "s_g varies, as printed",
            (
                _cifar("s_c = 16, s_g = 32", "0.79 M", "100 M", "94.8", 16, 32),
                _cifar("s_c = 16, s_g = 16 (again)", "0.53 M", "85 M", "94.7", 16, 16),
                _cifar("s_c = 16, s_g = 8", "0.41 M", "60 M", "94.2", 16, 8),
                _cifar("s_c = 16, s_g = 4", "0.29 M", "45 M", "92.8", 16, 4),
            ),
        ),
        (
            "s_g varies, the same rows read as s_c = 64",
            (
                _cifar("s_c = 64, s_g = 32", "0.79 M", "100 M", "94.8", 64, 32),
                _cifar("s_c = 64, s_g = 16", "0.53 M", "85 M", "94.7", 64, 16),
                _cifar("s_c = 64, s_g = 8", "0.41 M", "60 M", "94.2", 64, 8),
                _cifar("s_c = 64, s_g = 4", "0.29 M", "45 M", "92.8", 64, 4),
            ),
        ),
    ),
)

_TABLE_13 = Table(
    "13",
    "MGIC-MobileNetV3-Large on ImageNet: s_c and s_g",
    (3, 224, 224),
    1000,
    "top-1 %",
    (
        (
            "s_g varies",
            (
                _large(64, 2, "4.2 M", "70.2"),
                _large(64, 4, "4.2 M", "70.6"),
                _large(64, 8, "4.3 M", "71.6"),
                _large(64, 16, "4.5 M", "71.9"),
                _large(64, 32, "4.8 M", "73.2"),
            ),
        ),
        (
            "both vary",
            (
                _large(2, 2, "4.2 M", "69.9"),
                _large(4, 4, "4.2 M", "70.5"),
                _large(8, 8, "4.3 M", "70.9"),
                _large(16, 16, "4.5 M", "71.6"),
                _large(32, 32, "4.9 M", "72.7"),
            ),
        ),
    ),
)

TABLES = {
    table.number: table for table in (_TABLE_1, _TABLE_3, _TABLE_5, _TABLE_7, _TABLE_9, _TABLE_11, _TABLE_12, _TABLE_13)
}
