"""The embedded data set as a source."""

from __future__ import annotations

from .. import embedded
from ..spec import COMMON, Spec
from .parts import ArrayPart, Part


class FashionSource:
    """14x14 grey images of Fashion-MNIST."""

    name = "fashion"
    classes: tuple[str, ...] = embedded.CLASSES
    default_val: int | float = embedded.VALIDATION
    mixed_sizes = False

    def __init__(self, spec: Spec) -> None:
        spec.only({*COMMON, "size", "chans"}, self.name)

    def part(self, role: str) -> Part | None:
        return None if role == "val" else ArrayPart(f"fashion ({role})", *embedded.load_fashion(role))

    def test_count(self) -> int:
        return embedded.PER_CLASS["test"] * len(embedded.CLASSES)
