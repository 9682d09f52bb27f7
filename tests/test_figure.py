"""Pictures: texts that stand beside points."""

from itertools import combinations

from matplotlib.text import Annotation

from mgic_nas._figure import figure, label


def test_texts_cover_neither_each_other_nor_points() -> None:
    made = figure(5, 4)
    axes = made.add_subplot()
    points = [(1.0, 1.0, "the first of three"), (1.3, 1.01, "the second of three"), (5.0, 1.0, "at the right edge")]
    axes.scatter([x for x, *_ in points], [y for _, y, _ in points])
    axes.set_ylim(0, 2)
    label(axes, points)
    notes = [child for child in axes.get_children() if isinstance(child, Annotation)]
    assert [note.get_text() for note in notes] == [text for *_, text in points]
    boxes = [note.get_window_extent() for note in notes]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    assert not any(box.contains(*axes.transData.transform((x, y))) for box in boxes for x, y, _ in points)
