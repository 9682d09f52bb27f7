"""Networks by the name that a search knows them by, and winners from their folders, with weights.

timm builds and loads what it knows. The networks for segmentation, point clouds and functions are no timm names, so
their folders are written and read here: ``config.json`` and ``model.safetensors``, as timm's own. Needs torch, timm
and safetensors alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
from safetensors import SafetensorError
from timm.models import save_for_hf
from torch import nn

from ._files import read_json, write_atomic, write_json
from .cost.count import count
from .deploy.carried import read_carried
from .deploy.files import Opened
from .errors import UserError, did_you_mean
from .families import family, in_timm
from .models.convert.also import check_also
from .models.convert.blueprint import convert
from .models.convert.find import meta_copy
from .models.convert.mgicified import name_as_mgicified
from .models.mgic import TRANSFER_INIT, ZERO_INIT_CORRECTION
from .models.rows import check_choices

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_LIBRARY = "mgic_nas"
#: What timm, torch and safetensors make of files that are not what they say.
_FOREIGN = (
    *(OSError, SafetensorError, RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
)


def create_model(name: str, *, num_classes: int | None = None, in_chans: int | None = None, **kwargs: Any) -> nn.Module:
    """A network, untrained: of any model that a search space may name.

    Args:
        name: a timm name, ``mgicify:NAME``, or a network for segmentation, point clouds or functions, such as
            ``"mgic_lraspp_mobilenetv3_small"``, ``"mgic_diffgcn"`` or ``"implicit_mgic_mobilenetv3"``.
        num_classes: its outputs; by default the model's own number.
        in_chans: channels of its input; by default the model's own.
        **kwargs: its further arguments.

    Raises:
        UserError: an unknown name or argument, or an impossible value.
    """
    if not isinstance(name, str):
        raise UserError(f"{name!r} is no model's name: give one such as 'mgic_resnet20'.")
    for what, value in (("num_classes", num_classes), ("in_chans", in_chans)):
        least = 0 if what == "num_classes" else 1  # as timm has it: without a classifier
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise UserError(f"{what} must be a whole number from {least} up, not {value!r}.")
    known = family(name)
    outputs = known.num_classes if num_classes is None else num_classes
    return known.build(kwargs, outputs, known.input_size[0] if in_chans is None else in_chans)


def build_recorded(name: str, config: Mapping[str, Any], num_classes: int, in_chans: int, **kwargs: Any) -> nn.Module:
    """A network from what a file says, which may be somebody else's: with arguments of the network alone.

    timm's ``create_model`` takes more, such as a ``checkpoint_path``.

    Raises:
        UserError: an unknown name or argument, or an impossible value.
    """
    known = family(name)
    for key in config:
        if key not in known.arguments:
            raise UserError(f"{name} takes no argument {key!r}.{did_you_mean(str(key), known.arguments)}")
    return known.build(config, num_classes, in_chans, **kwargs)


def load_winner(folder: str | Path) -> nn.Module:
    """The trained network of a ``winners/<budget>/`` folder, in eval mode; whatever task it is for.

    Its ``pretrained_cfg`` says how inputs were prepared. For timm's names it is the same as
    ``timm.create_model("local-dir:FOLDER", pretrained=True).eval()``.

    Raises:
        UserError: no winner in the folder, or one that cannot be read.
    """
    folder, config = _read_folder(folder)
    if config.get("library") != _LIBRARY:
        return _load_from_timm(folder)
    try:
        net = build_recorded(
            config["architecture"],
            config.get("model_args") or {},
            config["num_classes"],
            config["in_chans"],
            pretrained_cfg_overlay=_tuples(config.get("pretrained_cfg") or {}),
        )
    except _FOREIGN as error:
        raise UserError(f"{folder / CONFIG} describes no network: {_reason(error)}.") from None
    load_weights(net, folder / WEIGHTS)
    return net.eval()


def open_folder(folder: str | Path) -> Opened:
    """:func:`load_winner`, with how its inputs are prepared and what its outputs are called.

    Raises:
        UserError: as :func:`load_winner`, or the folder does not say how inputs are prepared.
    """
    path, config = _read_folder(folder)
    carried = read_carried(config, str(path / CONFIG))
    return Opened(load_winner(path), carried, "torch")


def loads_in_timm(folder: str | Path) -> bool:
    """Whether timm loads a folder (``local-dir:FOLDER``); others are for :func:`load_winner`."""
    return _read_folder(folder)[1].get("library") != _LIBRARY


def _read_folder(folder: str | Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a winner, and its config. UserError where it is none."""
    try:
        folder = Path(folder)
    except TypeError:
        raise UserError(f"{folder!r} is no folder: give the path of a winners/<budget> folder.") from None
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / CONFIG} cannot be read: {' '.join(str(error).split())[:200]}.") from None
    if not isinstance(config, dict) or "architecture" not in config:
        raise UserError(f"{folder} is no winner: it has no {CONFIG} of a network.")
    return folder, config


def _load_from_timm(folder: Path) -> nn.Module:
    try:
        net: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
    except _FOREIGN as error:
        raise UserError(f"{folder} cannot be loaded: {_reason(error)}.") from None
    return net.eval()


def _reason(error: Exception) -> str:
    text = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
    return text[:300].removesuffix(".") or type(error).__name__


def save_network(
    folder: Path,
    net: nn.Module,
    name: str,
    config: Mapping[str, Any],
    *,
    num_classes: int,
    in_chans: int,
    data_config: Mapping[str, Any],
    label_names: Sequence[str] = (),
) -> None:
    """Writes a trained network so that :func:`load_winner` gives it back; of a timm name also ``local-dir:``.

    Args:
        folder: an existing one.
        net: the network.
        name, config, num_classes, in_chans: what it was built from.
        data_config: how its inputs were prepared, as timm's data config names it.
        label_names: of the classes, where known: others than ``num_classes`` are left out.
    """
    labels = {"label_names": list(label_names)} if len(label_names) == num_classes else {}
    if in_timm(name):
        save_for_hf(net, str(folder), model_config=labels, safe_serialization=True, data_config=dict(data_config))
        return
    content = {
        "library": _LIBRARY,
        "architecture": name,
        "num_classes": num_classes,
        "in_chans": in_chans,
        "model_args": dict(config),
        "pretrained_cfg": dict(data_config),
        **labels,
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    write_atomic(folder / WEIGHTS, safetensors.torch.save(tensors, metadata={"format": "pt"}))
    write_json(folder / CONFIG, content)


def load_weights(net: nn.Module, path: Path) -> None:
    """Loads trained weights into the network that they are of. UserError where they do not fit or cannot be read."""
    try:
        net.load_state_dict(safetensors.torch.load_file(path))
    except _FOREIGN as error:
        raise UserError(f"{path} cannot be loaded: {_reason(error)}.") from None


def _tuples(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}


def mgicify(
    model: str | nn.Module,
    s_g: int,
    s_c: int,
    *,
    min_levels: int = 0,
    min_groups: int = 1,
    init: str = "random",
    transfer_init: str = TRANSFER_INIT,
    zero_init_correction: bool = ZERO_INIT_CORRECTION,
    input_size: tuple[int, int, int] | None = None,
    also: str | Sequence[str] = (),
    **kwargs: Any,
) -> nn.Module:
    """A network whose residual blocks of equal width are MGIC blocks of themselves.

    :mod:`mgic_nas.models.convert.blueprint` says how a block is converted, and :mod:`mgic_nas.models.convert.init` what
    its tensors start with.

    Args:
        model: a timm name, or a built network, which is copied and stays what it is.
        s_g: channels a group on all but the coarsest level.
        s_c: width of the coarsest level at most.
        min_levels: at least so many restrictions in every block, even where it is no wider than s_c.
        min_groups: 2 keeps a grouped level from being fully coupled.
        init: "random" draws the converted blocks anew; "weights" derives them from the original's weights.
        transfer_init, zero_init_correction: how R, P and N start, see :func:`mgic_nas.models.mgic.start`. With
            "weights" and N from zero the network is the original's with grouped convs, whose accuracy
            :func:`mgic_nas.recalibrate` brings nearer to the original's.
        input_size: (C, H, W) of an image; by default the network's own.
        also: what else is converted, some of "transition" (residual blocks that change width or resolution: a grouped
            3x3 conv, then the block at its new width, as in the paper's families), "plain" (convs without a residual
            that keep the width: VGG's, ConvMixer's; with "transition" those too that change it), "mlp" (MLPs on each
            token's channels: ViT's, Mixer's).
        **kwargs: of ``timm.create_model``, with a name only.

    Returns:
        The network, with timm's interface as before. ``net.mgic_report`` says what was replaced, what was left and
        why, and the cost before and after; ``str()`` of it is a page to read. Saved by ``timm.models.save_for_hf``, it
        comes back by ``timm.create_model("local-dir:...", pretrained=True)``.

    Raises:
        UserError: an unknown name, an impossible value, or a network without an eligible block; in one line.
    """
    check_choices(s_g, s_c, min_levels, min_groups)
    also = check_also(also)
    if isinstance(model, nn.Module):
        if kwargs:
            raise UserError(f"A built network takes no {', '.join(kwargs)}: give its timm name, or build it with them.")
        net: Any = _copied(model)
    elif isinstance(model, str) and (":" in model or timm.is_model(model)):
        try:
            net = timm.create_model(model, **kwargs)
        except _FOREIGN as error:
            raise UserError(f"{model} cannot be built: {_reason(error)}.") from error
    else:
        raise UserError(f"Unknown model {model!r}.{did_you_mean(str(model), timm.list_models())}")
    plain = meta_copy(net)
    begin: dict[str, Any] = {"transfer_init": transfer_init, "zero_init_correction": zero_init_correction}
    report = convert(net, s_g, s_c, min_levels, min_groups, init, input_size, **begin, also=also)
    before, after = (count(n, report.input_size) for n in (plain, meta_copy(net)))
    net.mgic_report = replace(report, before=before, after=after)
    name_as_mgicified(net)
    return net


def _copied(net: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(net)
    except _FOREIGN as error:
        computed = "no copies of tensors that are computed" if "deepcopy protocol" in str(error) else _reason(error)
        raise UserError(
            f"{type(net).__name__} cannot be copied ({computed}): take off what computes its weights, such as "
            "torch.nn.utils.weight_norm (by remove_weight_norm), and any output that it keeps"
        ) from error
