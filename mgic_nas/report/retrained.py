"""What a report says of the winners that were retrained: their test scores over seeds. Nothing is chosen by them."""

from __future__ import annotations

from .. import _text as words
from ..retraining.results import Trainings, no_test
from ..tasks import metric_of


def heading(found: Trainings) -> tuple[str, ...]:
    """Of the columns of :func:`rows`."""
    size, metric = words.size_text(found.config.data["input_size"], "×"), metric_of(found.config.data["spec"]).short
    return (
        *("Network", "Within", f"MACs at {size}", "Parameters", "Seeds"),
        *(f"Test {metric} (%)", "Standard error of one score", f"Validation {metric} (%)"),
    )


def rows(found: Trainings) -> list[tuple[str, ...]]:
    """A row a network, by MACs; accuracies are means over seeds, with their standard deviation."""
    table: list[tuple[str, ...]] = []
    for name, one in found.networks.items():
        first = one.trained[0].result
        table.append(
            (
                name,
                words.listed(one.budgets) or "–",
                words.count(first["macs"]),
                words.count(first["params"]),
                f"{len(one.trained)}",
                _mean(one.test_mean, one.test_spread),
                "–" if one.test_error is None else f"{one.test_error:.2f}",
                _mean(one.val_mean, one.val_spread),
            )
        )
    return table


def note(found: Trainings) -> str:
    """How they were trained, and what the numbers mean."""
    config = found.config
    parts = "training and validation part" if config.with_val else "training part"
    teacher = f", taught by {config.teacher.get('name')}" if config.teacher else ""
    recipe = config.recipe.get("name", "custom")
    said = [
        f"Trained from scratch for {words.plural(config.epochs, 'epoch')} with the recipe {recipe} on the {parts}"
        f"{teacher}; the {config.weights} weights were scored once on the test split, and nothing was chosen by that "
        "score. ± is the standard deviation over seeds; the standard error is what the number of test "
        f"{metric_of(config.data['spec']).items} alone gives one score."
    ]
    if not any(one.test_mean is not None for one in found.networks.values()):
        said.append(f"There is {no_test(config.data)}.")
    if config.note:
        said.append(f"{config.note[0].upper()}{config.note[1:]}.")
    return " ".join(said)


def _mean(mean: float | None, spread: float | None) -> str:
    if mean is None:
        return "–"
    return f"{mean:.2f}" if spread is None else f"{mean:.2f} ± {spread:.2f}"
