"""README.md of an export: a model card as Hugging Face has them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from huggingface_hub import EvalResult, ModelCardData

from .._text import size_text
from ..deploy.carried import Carried
from ..deploy.onnx_export import INPUT
from ..tasks.registry import task_of
from .source import Source

FILES = {"onnx": "model.onnx", "pt2": "model.pt2", "openvino": "model.xml"}
INT8 = "model.int8.onnx"
#: Task -> what the Hugging Face hub calls it.
_TASKS = {"images": "image-classification", "segmentation": "image-segmentation"}


def card(source: Source, form: str, tables: Sequence[str], notes: Sequence[str]) -> str:
    """The text of the card.

    Args:
        source: what was exported.
        form: "hf", "onnx", "pt2" or "openvino".
        tables: Markdown tables of what was measured.
        notes: a line each.
    """
    carried = source.carried
    facts = "".join(f"- **{name}:** {text}\n" for name, text in _facts(source).items())
    measured = "".join(f"\n{table}\n" for table in tables)
    said = "".join(f"- {note}\n" for note in notes)
    return f"""\
---
{_front_matter(source, form)}
---
# {carried.architecture}{f" trained on {source.data_name}" if source.data_name else ""}

A convolutional network with multigrid-in-channels (MGIC) blocks, found by
architecture search within compute budgets (mgic_nas).

{facts}
## Use

```python
{_usage(source, form)}```

Inputs: {_inputs(carried)}.
{_outputs(carried)}
{"## Measured" if measured or said else ""}
{measured}{said}
## Licence

The code that builds the network is under the {source.license.upper()} licence. The weights were trained on
{source.data_name or "data that this card does not know"}: what its licence allows is for whoever passes them on to say.
"""


def _front_matter(source: Source, form: str) -> str:
    score = source.score
    known = _TASKS.get(task_of(source.spec), "other") if source.spec else "image-classification"
    results = []
    if score is not None and source.data_name:
        kind = "accuracy" if score.metric.startswith("top-1") else re.sub(r"\W+", "_", score.metric.lower())
        results.append(
            EvalResult(
                task_type=known,
                dataset_type=re.sub(r"[^a-z0-9_-]+", "-", source.data_name.lower()).strip("-") or "data",
                dataset_name=source.data_name,
                dataset_split="validation",
                metric_type=kind,
                metric_name=f"{score.metric} (validation, in percent)",
                metric_value=round(score.value, 2),
            )
        )
    tags = [known, "mgic", "neural-architecture-search", *(["timm"] if source.in_timm else [])]
    library = {"hf": "timm" if source.in_timm else "mgic_nas", "pt2": "pytorch"}.get(form, form)
    data = ModelCardData(
        license=source.license.lower(),
        library_name=library,
        pipeline_tag=known if known != "other" else None,
        tags=tags,
        model_name=source.carried.architecture,
        eval_results=results or None,
    )
    return data.to_yaml().strip()


def _facts(source: Source) -> dict[str, str]:
    found = dict(source.facts)
    if (score := source.score) is not None:
        error = f" ± {score.error:.2f}" if score.error is not None else ""
        found["Validation"] = (
            f"{score.metric} {score.value:.2f}{error} % on {score.items}, by which the search chose; "
            "`mgic-nas score` gives the number of a test part"
        )
    return found


def _usage(source: Source, form: str) -> str:
    shape = (1, *source.carried.input_size)
    if form == "hf" and source.in_timm:
        return (
            "import mgic_nas  # first: it registers the mgic_* names with timm\n"
            "import timm\n\n"
            'net = timm.create_model("local-dir:.", pretrained=True).eval()  # this folder; or "hf-hub:USER/NAME"\n'
            "config = timm.data.resolve_model_data_config(net)\n"
            "transform = timm.data.create_transform(**config, is_training=False)  # of a PIL image\n"
        )
    if form == "hf":
        return 'import mgic_nas\n\nnet = mgic_nas.load_winner(".")  # this folder\n'
    if form == "pt2":
        return (
            "import json\nimport torch\n\n"
            'extra = {"config.json": ""}\n'
            f'net = torch.export.load("{FILES[form]}", extra_files=extra).module()\n'
            'config = json.loads(extra["config.json"])  # label_names; mean, std, input_size in pretrained_cfg\n'
            f"scores = net(torch.zeros{shape})  # (N, classes) of N inputs\n"
        )
    if form == "openvino":
        return (
            "import json\nimport numpy as np\nimport openvino\n\n"
            f'model = openvino.Core().read_model("{FILES[form]}")\n'
            'config = json.loads(model.get_rt_info(["mgic_nas", "config"]).astype(str))\n'
            'net = openvino.compile_model(model, "CPU")\n'
            f"scores = net(np.zeros({shape}, np.float32))[0]  # (N, classes) of N inputs\n"
        )
    return (
        "import json\nimport numpy as np\nimport onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{FILES[form]}")\n'
        "config = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}\n"
        f'scores = session.run(None, {{"{INPUT}": np.zeros({shape}, np.float32)}})[0]  # (N, classes) of N inputs\n'
    )


def _inputs(carried: Carried) -> str:
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (carried.mean, carried.std))
    return (
        f"float32 (N, {', '.join(map(str, carried.input_size))}), any N; pixels in 0..1 less mean ({mean}), by std "
        f"({std}). Images of other sizes are resized to {size_text(carried.input_size[1:])} by {carried.interpolation} "
        f"and {carried.crop_mode}-cropped at crop_pct {carried.crop_pct:g}"
    )


def _outputs(carried: Carried) -> str:
    names = ", ".join(carried.label_names[:100])
    more = f", ... ({len(carried.label_names):,})" if len(carried.label_names) > 100 else ""
    return f"Classes, in the order of the outputs: {names}{more}.\n" if len(carried.label_names) > 1 else ""
