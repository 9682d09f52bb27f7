"""What a person looks at of the coarse experiment: its pictures and its page."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from .._figure import GREY, INK, MUTED, ORANGE, PURPLE, TEAL, dress, figure, save
from .._files import write_atomic
from ..models.coarse import CoarseRepresentation
from ..tasks import Data
from ._record import Table, describe

CHANNELS, COARSEST = 64, 8
#: The optimiser that the trainings are compared with.
ADAM_STEPS, ADAM_LR = 1000, 0.01
#: s_g -> (parameters, MSE) of the paper's Table 1.
PAPER = {32: (3_328, 0.011), 16: (1_792, 0.013), 8: (896, 0.017), 4: (448, 0.024)}
#: The image of the validation part that is drawn.
IMAGE = 0


def read_weights(folder: Path, s_g: int) -> CoarseRepresentation:
    """The trained R and P of seed 0."""
    net = CoarseRepresentation(CHANNELS, s_g, COARSEST)
    net.load_state_dict(load_file(folder / f"transfers-{s_g}.safetensors"))
    return net


def gather(table: Table) -> dict[int, list[dict[str, str]]]:
    """s_g -> its rows, the widest groups first."""
    found: dict[int, list[dict[str, str]]] = {}
    for row in table.rows:
        found.setdefault(int(row["s_g"]), []).append(row)
    return dict(sorted(found.items(), reverse=True))


def draw_errors(table: Table, bound: float, path: Path) -> None:
    """mse.png: MSE against s_g, ours and the paper's."""
    made = figure(7.2, 4.6)
    axes = made.add_subplot()
    ours = {s_g: [float(row["mse"]) for row in rows] for s_g, rows in gather(table).items()}
    ticks = sorted(set(ours) | set(PAPER))
    axes.plot(
        list(PAPER), [mse for _, mse in PAPER.values()], color=ORANGE, marker="D", markersize=6, linewidth=1.4,
        linestyle=(0, (5, 3)), markeredgecolor="white", label="paper, Table 1 (other maps)", zorder=3,
    )  # fmt: skip
    means = [statistics.fmean(errors) for errors in ours.values()]
    axes.plot(
        list(ours), means, color=TEAL, marker="o", markersize=7, linewidth=1.6, markeredgecolor="white",
        markeredgewidth=0.9, label="here, L-BFGS; mean over seeds", zorder=4,
    )  # fmt: skip
    adam: list[float] = []
    for column, label, color in (("adam_mse", "uniform", GREY), ("adam_aggregation_mse", "aggregation", PURPLE)):
        found = [statistics.fmean(float(row[column]) for row in rows) for rows in gather(table).values()]
        axes.plot(
            list(ours), found, color=color, marker="o", markersize=5, linewidth=1.2, markeredgecolor="white",
            label=f"here, {ADAM_STEPS:,} steps of Adam from {label}", zorder=3,
        )  # fmt: skip
        adam += found
    for (s_g, errors), mean in zip(ours.items(), means):
        axes.scatter([s_g] * len(errors), errors, s=14, color=TEAL, alpha=0.5, linewidths=0, zorder=5)
        last = s_g == ticks[-1]  # beside the line, which falls to the right
        axes.annotate(
            f"{mean:.4f}", (s_g, max(errors)), xytext=(0 if last else 6, 6), textcoords="offset points",
            ha="right" if last else "left", fontsize=8.5, color=TEAL,
        )  # fmt: skip
    axes.axhline(
        bound, color=MUTED, linewidth=1.1, linestyle=(0, (1, 2)), zorder=2,
        label=f"best linear map of rank {COARSEST} on these maps ({bound:.4f})",
    )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(
        0, 1.15 * max([*adam, *(max(errors) for errors in ours.values()), *(mse for _, mse in PAPER.values())])
    )
    dress(
        axes,
        "Feature maps from a coarse representation",
        f"{CHANNELS} channels to {COARSEST} and back by R and P alone",
        "Group size s_g",
        "MSE of the reconstructed maps",
    )
    made.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8.5, labelcolor=MUTED)
    save(made, path)


@torch.no_grad()
def draw_maps(table: Table, layer: nn.Module, data: Data, folder: Path, columns: int = 8) -> None:
    """maps.png: an image, some of its maps, and what each s_g makes of them (Figure 3)."""
    picked = list(gather(table))
    x = next(iter(data.val.batches(16)))[0][IMAGE : IMAGE + 1]
    maps = layer(x)
    nets = [read_weights(folder, s_g) for s_g in picked]
    rows = [maps, *(net(maps) for net in nets)]
    labels = ["maps", *(f"s_g = {s_g}" for s_g in picked)]
    # Evenly over the channels by how much they vary in this image: quiet and busy maps alike.
    order = maps[0].flatten(1).std(1).argsort(descending=True)
    channels = order[torch.linspace(0, len(order) * 0.75, columns).long()]

    made = figure(1.05 * (columns + 1) + 0.4, 1.12 * len(rows) + 0.5)
    made.suptitle(
        "First-layer maps (top) and their reconstructions from 8 channels",
        x=0.01, ha="left", fontsize=12, color=INK, fontweight="bold",
    )  # fmt: skip
    grid = made.subplots(len(rows), columns + 1, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (data.info.mean, data.info.std))
    image = (x[0] * std + mean).clamp(0, 1).permute(1, 2, 0)
    grid[0, 0].imshow(image.squeeze(-1).numpy(), cmap="gray")
    grid[0, 0].set_title("image", fontsize=9, color=MUTED)
    for i, (row, label) in enumerate(zip(rows, labels)):
        if i:
            mse = float(F.mse_loss(row, maps))
            text = f"{label}\nMSE {mse:.4f}"
            grid[i, 0].text(0.5, 0.5, text, ha="center", va="center", fontsize=9, color=INK)
        for j, channel in enumerate(channels.tolist(), start=1):
            top = float(maps[0, channel].quantile(0.995)) or 1.0
            grid[i, j].imshow(row[0, channel].numpy(), cmap="magma", vmin=0, vmax=top, interpolation="nearest")
            if i == 0:
                grid[i, j].set_title(f"channel {channel}", fontsize=8, color=MUTED)
    save(made, folder / "maps.png")


def write(table: Table, network: dict[str, Any], maps: torch.Tensor, bound: float, path: Path) -> None:
    """README.md: Table 1 with ours beside it, and how it was made."""
    recipe = table.fixed
    power = float(maps.double().square().mean())
    lines = [
        "# Coarse channel representation: MSE against s_g (Table 1 and Figure 3, small)",
        "",
        f"R and P alone (random rows that sum to 1, then trained): {CHANNELS} channels to {COARSEST} and back. No CNN",
        "blocks, no skips, no norm, no bias. This folder was made by",
        "",
        f"    python -m mgic_nas.experiments.coarse --data 'CIFAR10?train={network['train_images']}' "
        f"--epochs {network['epochs']} --out FOLDER",
        "",
        f"- maps: after the first 3x3 conv, BN and ReLU of a plain CNN ({network['params']:,} parameters) trained here",
        f"  for {network['epochs']} epochs on {network['train_images']:,} images of {network['data']} (seed "
        f"{network['seed']}); test accuracy {network['test_accuracy']} %",
        f"- MSE on the maps of {int(recipe['images']):,} validation images, whose mean square is {power:.4f} (relative",
        "  error: the quotient). The paper's maps are those of the first convolution of a pre-trained ResNet-50 on",
        "  1,024 images of ImageNet, neither of which is to be had here; maps of another network have another scale,",
        "  so the paper's column shows the trend, not a target",
        f"- trained on the maps of {int(recipe['train_images']):,} training images: R and P are linear maps of a pixel",
        "  each, so the error over all these pixels follows from their 64x64 second moments, and a step sees them all.",
        f"  L-BFGS in float64, at most {int(recipe['steps']):,} steps (the table says how many were taken)",
        f"- with Adam: same moments, {ADAM_STEPS:,} steps, learning rate {ADAM_LR} (cosine to 0), from the start that",
        "  L-BFGS has, and from aggregation, which networks have. Uniform R and P start as averages, nearly all alike,",
        "  so their product starts as good as of rank 1, and Adam stays on plateaus of too low a rank. At s_g = 32",
        "  other rates (0.001, 0.1) do not help; four times the steps do, and so do independent normal weights: it is",
        "  the start, and neither step size nor what R and P can represent",
        f"- the best linear map of rank {COARSEST}, fitted to the validation maps themselves, has {bound:.4f}",
        f"- machine: {describe(table.rows[-1])}; one thread, CPU seconds of one training",
        "",
        "| s_g | params | paper's | MSE, mean (min to max) | relative | paper's MSE | Adam, uniform "
        "| Adam, aggregation | untrained | steps | seeds | CPU s |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for s_g, rows in gather(table).items():
        errors = [float(row["mse"]) for row in rows]
        start, uniform, aggregation, relative, steps, seconds = (
            statistics.fmean(float(row[name]) for row in rows)
            for name in ("initial_mse", "adam_mse", "adam_aggregation_mse", "relative", "steps_taken", "seconds")
        )
        params, mse = (f"{PAPER[s_g][0]:,}", f"{PAPER[s_g][1]}") if s_g in PAPER else ("", "")
        lines.append(
            f"| {s_g} | {int(rows[0]['params']):,} | {params} | {statistics.fmean(errors):.4f} ({min(errors):.4f} to "
            f"{max(errors):.4f}) | {100 * relative:.1f} % | {mse} | {uniform:.4f} | {aggregation:.4f} | {start:.3f} "
            f"| {steps:,.0f} | {len(rows)} | {seconds:.0f} |"
        )
    reached = [
        str(s_g)
        for s_g, rows in gather(table).items()
        if statistics.fmean(float(row["mse"]) for row in rows) < 1.005 * bound
    ]
    if reached:
        lines += [
            "",
            f"s_g = {' and '.join(reached)}: within half a percent of the best linear map. R and P of groups this",
            "wide lose nothing, and wider ones could gain nothing. The paper's numbers still fall there; a training",
            "that ends on a plateau may end anywhere.",
        ]
    lines += ["", "![MSE against s_g](mse.png)", "", "![Maps and reconstructions](maps.png)", ""]
    write_atomic(path, "\n".join(lines))
