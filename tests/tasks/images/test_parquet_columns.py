"""Columns as tools write them: every label goes with its image and its class's name, or the set is refused."""

import decimal
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.tasks import encoded, picture, refused
from PIL import Image

from mgic_nas.tasks import Data, load_data

WORDS = ("ape", "bee", "cat")
ROWS = WORDS * 8
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
Encoder = Callable[[Sequence[str], int], tuple[Any, Sequence[str] | None]]


def contents(words: Sequence[str], first: int = 0, size: tuple[int, int] = (8, 8)) -> list[bytes]:
    """An image for each word, whose brightness tells the word."""
    return [encoded(picture(WORDS.index(word), first + row, size)) for row, word in enumerate(words)]


def write(
    path: Path,
    columns: dict[str, Any],
    *,
    names: dict[str, Sequence[str]] | None = None,
    images: Sequence[str] = (),
    audio: Sequence[str] = (),
    **options: Any,
) -> None:
    """A table. Hugging Face's metadata tells the class ``names`` of columns, and which are ``images`` or ``audio``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns)
    if names or images or audio:
        features: dict[str, Any] = {image: {"_type": "Image"} for image in images}
        features |= {name: {"_type": "Audio"} for name in audio}
        features |= {name: {"_type": "ClassLabel", "names": list(classes)} for name, classes in (names or {}).items()}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path, **options)


def structs(files: Sequence[bytes | None], paths: Sequence[str | None] | None = None) -> Any:
    rows = [{"bytes": file, "path": path} for file, path in zip(files, paths or [None] * len(files))]
    return pa.array(rows, STRUCT)


def write_words(path: Path, words: Sequence[str], encode: Encoder, number: int) -> None:
    labels, names = encode(words, number)
    columns = {"image": structs(contents(words, 100 * number)), "label": labels}
    write(path, columns, names=None if names is None else {"label": names})


def assert_right(data: Data, words: Sequence[str] = WORDS) -> None:
    """Every image of every part has the class that its brightness tells."""
    for split in (data.train, data.val, data.test):
        if split is None:
            continue
        dataset: Any = split.as_dataset()
        for index in range(len(split)):
            image, label = dataset[index]
            assert data.info.classes[label] == words[round((np.asarray(image).mean() - 30) / 60)]


def numbers(order: Sequence[str], kind: Any = None, named: bool = True) -> Encoder:
    return lambda words, _: (
        pa.array([order.index(word) for word in words], kind or pa.int64()),
        order if named else None,
    )


TURNED = WORDS[::-1]
MOVED: Encoder = lambda words, number: numbers((WORDS, TURNED, TURNED, WORDS)[number])(words, number)  # noqa: E731

MORE: Encoder = lambda words, number: numbers(WORDS if number < 2 else ("zebra", *TURNED))(words, number)  # noqa: E731


@pytest.mark.parametrize(
    ("encode", "classes"),
    [
        pytest.param(MOVED, WORDS, id="class names in another order in a shard and a split"),
        pytest.param(MORE, WORDS, id="splits that list more classes than they have"),
        pytest.param(lambda words, _: (pa.array(words), None), WORDS, id="texts"),
        pytest.param(lambda words, _: (pa.array(words, pa.large_string()), None), WORDS, id="large texts"),
        pytest.param(lambda words, _: (pa.array([w.encode() for w in words]), None), WORDS, id="bytes"),
        pytest.param(
            lambda words, n: (pa.array(words[n:] + words[:n]).dictionary_encode().take(_back(len(words), n)), None),
            WORDS,
            id="categories in another order",
        ),
        pytest.param(
            lambda words, n: (pa.array(words), None) if n % 2 else numbers(TURNED)(words, n),
            TURNED,
            id="class names here and texts there",
        ),
        pytest.param(numbers(WORDS, pa.uint8(), named=False), ("0", "1", "2"), id="bytes that are numbers"),
        pytest.param(numbers(WORDS, pa.float64(), named=False), ("0", "1", "2"), id="floats that are whole"),
        pytest.param(
            lambda words, _: (pa.array([decimal.Decimal(WORDS.index(word)) for word in words]), None),
            ("0", "1", "2"),
            id="decimals",
        ),
        pytest.param(
            lambda words, _: (pa.array([WORDS.index(word) for word in words]).dictionary_encode(), None),
            ("0", "1", "2"),
            id="categories of numbers",
        ),
        pytest.param(
            lambda words, _: (pa.array([str(9 + WORDS.index(word)) for word in words]), None),
            ("10", "11", "9"),
            id="numbers as texts",
        ),
    ],
)
def test_labels_follow_the_names_whatever_they_are_stored_as(
    tmp_path: Path, encode: Encoder, classes: tuple[str, ...]
) -> None:
    write_words(tmp_path / "train-00000-of-00002.parquet", ROWS, encode, 0)
    write_words(tmp_path / "train-00001-of-00002.parquet", ROWS[1:] + ROWS[:1], encode, 1)
    write_words(tmp_path / "validation.parquet", TURNED * 4, encode, 2)
    write_words(tmp_path / "test.parquet", WORDS * 2, encode, 3)
    data = load_data(str(tmp_path))
    assert data.info.classes == classes
    assert data.info.sizes == {"train": 48, "val": 12, "test": 6}
    named = {"0": "ape", "1": "bee", "2": "cat", "9": "ape", "10": "bee", "11": "cat"}
    told = [named.get(name, name) for name in data.info.classes]
    assert_right(data, [data.info.classes[told.index(word)] for word in WORDS])
    moved = "classes in another order"
    assert any(moved in note for note in data.info.notes) == (encode in (MOVED, MORE))


def _back(count: int, by: int) -> list[int]:
    return [(index - by) % count for index in range(count)]


def test_two_values_are_classes_too(tmp_path: Path) -> None:
    labels = pa.array([word == "bee" for word in ("ape", "bee") * 10])
    write(tmp_path / "train.parquet", {"image": structs(contents(("ape", "bee") * 10)), "label": labels})
    data = load_data(str(tmp_path))
    assert data.info.classes == ("false", "true")
    assert_right(data, ("false", "true"))


def test_accents_are_the_same_however_they_are_stored(tmp_path: Path) -> None:
    for name, form in (("train", "NFC"), ("val", "NFD")):
        labels = pa.array([unicodedata.normalize(form, word) for word in ("é", "z") * 10])
        write(tmp_path / f"{name}.parquet", {"image": structs(contents(("ape", "bee") * 10)), "label": labels})
    assert_right(load_data(str(tmp_path)), ("é", "z"))


def test_numbers_beside_names_are_taken_in_the_names_order_and_this_is_said(tmp_path: Path) -> None:
    write_words(tmp_path / "train.parquet", ROWS, numbers(TURNED), 0)
    write_words(tmp_path / "val.parquet", WORDS, numbers(TURNED, named=False), 1)
    data = load_data(str(tmp_path))
    assert_right(data)
    assert "val.parquet: class numbers without names" in " ".join(data.info.notes)
    write_words(tmp_path / "test.parquet", WORDS, numbers(WORDS), 1)  # now nobody knows which order val's are in
    assert "has class numbers where" in refused(load_data, str(tmp_path))


@pytest.mark.parametrize("codec", ["none", "gzip", "zstd", "brotli", "lz4"])
def test_every_compression_and_raw_bytes_are_read(tmp_path: Path, codec: str) -> None:
    kind = {"none": pa.binary(), "zstd": pa.large_binary()}.get(codec)
    files = contents(ROWS)
    column = structs(files) if kind is None else pa.array(files, kind)
    labels = pa.array(ROWS)
    write(tmp_path / "train.parquet", {"image": column, "label": labels}, compression=codec, row_group_size=5)
    assert_right(load_data(str(tmp_path)))


def test_shards_may_hold_images_in_different_ways(tmp_path: Path) -> None:
    for number, column in enumerate((structs(contents(ROWS)), pa.array(contents(ROWS, 50)))):
        write(tmp_path / f"train-{number}.parquet", {"image": column, "label": pa.array(ROWS)})
    write(tmp_path / "train-2.parquet", {"label": pa.nulls(0), "image": pa.nulls(0)})  # empty, and of no type
    data = load_data(str(tmp_path))
    assert len(data.train) + len(data.val) == 48
    assert_right(data)


@pytest.mark.parametrize(
    ("columns", "names", "spec", "label"),
    [
        (("image", "labels"), (), "", "labels"),
        (("Image", "Label"), (), "", "Label"),
        (("photo", "kind"), ("kind",), "", "kind"),
        (("image", "digit", "label_text"), ("digit",), "", "digit"),
        (("image", "label", "soft"), (), "", "label"),
        (("image", "fine_label", "coarse_label"), (), "?label=coarse_label", "coarse_label"),
        (("image", "thumbnail", "label"), (), "?image=image", "label"),
    ],
)
def test_the_only_columns_that_may_be_meant_are_found(
    tmp_path: Path, columns: tuple[str, ...], names: tuple[str, ...], spec: str, label: str
) -> None:
    table: dict[str, Any] = {}
    for name in columns:
        table[name] = (
            structs(contents(ROWS)) if name in ("image", "Image", "photo", "thumbnail") else pa.array(ROWS[::-1])
        )
    table[label] = numbers(WORDS)(ROWS, 0)[0] if names else pa.array(ROWS)
    if "soft" in table:
        table["soft"] = pa.array([[0.1, 0.9]] * len(ROWS))
    write(tmp_path / "train.parquet", table, names=dict.fromkeys(names, WORDS))
    assert_right(load_data(f"{tmp_path}{spec}"))


@pytest.mark.parametrize(
    ("columns", "declared", "said"),
    [
        (("image", "fine_label", "coarse_label"), (), "may hold the label, fine_label, coarse_label: say which"),
        (("image", "label", "fine_label"), (), "label, fine_label: say which, for example ?label=label"),
        (("image", "breed", "species"), ("breed", "species"), "breed, species: say which, for example ?label=breed"),
        (("image", "label", "Label"), (), "label, Label: say which"),
        (("image", "img", "label"), (), "image, img: say which, for example ?image=image"),
        (("image", "mask_image", "label"), (), "may hold the image, image, mask_image"),
        (("image", "class"), (), "its columns are image, class: add ?label=NAME"),
        (("thing", "label"), (), "its columns are thing, label: add ?image=NAME"),
    ],
)
def test_columns_of_which_several_may_be_meant_are_refused(
    tmp_path: Path, columns: tuple[str, ...], declared: tuple[str, ...], said: str
) -> None:
    table = {
        name: structs(contents(ROWS)) if "ima" in name or name == "img" else numbers(WORDS)(ROWS, 0)[0]
        for name in columns
    }
    write(tmp_path / "train.parquet", table, names=dict.fromkeys(declared, WORDS))
    assert said in refused(load_data, str(tmp_path))


def test_sound_is_no_picture(tmp_path: Path) -> None:
    columns = {"audio": structs([b"RIFF"] * len(ROWS)), "image": structs(contents(ROWS)), "label": pa.array(GOOD)}
    write(tmp_path / "train.parquet", columns, names={"label": WORDS}, images=["image"], audio=["audio"])
    assert_right(load_data(str(tmp_path)))


GOOD = [WORDS.index(word) for word in ROWS]


def spoiled(*values: Any, kind: Any = None) -> Any:
    return pa.array([*values, *GOOD[len(values) :]], kind)


@pytest.mark.parametrize(
    ("labels", "names", "said"),
    [
        (spoiled(0, None), None, "row 1 of {}/train.parquet has no label (1 of the 24 train rows"),
        (spoiled(0, 1, float("nan"), kind=pa.float64()), None, "row 2 of {}/train.parquet has no label"),
        (spoiled(0, -1, -1), WORDS, "has the label -1, which is none: labels count from 0 (2 of the 24"),
        (spoiled(0.5, kind=pa.float64()), None, "not class numbers or names"),
        (spoiled(3), WORDS, "row 0 of {}/train.parquet has the label 3, but the file names 3 classes only"),
        (spoiled(2**40), None, "labels count the classes from 0"),
        (pa.array([2**63] * len(ROWS), pa.uint64()), None, "not class numbers or names"),
        (pa.array([" ", *ROWS[1:]]), None, "row 0 of {}/train.parquet has no label"),
        (pa.array(GOOD), ("ape", "bee", "cat", "ape"), "names the class 'ape' twice"),
        (pa.array(GOOD), (*WORDS, "dog"), "1 of 4 classes have no training image (dog)"),
        (pa.array([b"\xff"] * len(ROWS)), None, "bytes that are no text"),
        (pa.array([f"{word}\n\x1b[31m" for word in ROWS]), None, "invisible characters"),
        (pa.array([f"{row}.png" for row in range(len(ROWS))]), None, "'label' has another value in each row, such as"),
        (pa.array([[label] for label in GOOD]), None, "several labels a row"),
        (pa.array([{"a": label} for label in GOOD]), None, "not class numbers or names"),
        (pa.nulls(len(ROWS)), None, "has no label"),
        (pa.array(GOOD, pa.int64()).cast(pa.timestamp("s")), None, "not class numbers or names"),
    ],
)
def test_labels_that_are_no_classes_are_refused(
    tmp_path: Path, labels: Any, names: Sequence[str] | None, said: str
) -> None:
    columns = {"image": structs(contents(ROWS)), "label": labels}
    write(tmp_path / "train.parquet", columns, names=None if names is None else {"label": names})
    assert said.format(tmp_path) in refused(load_data, str(tmp_path))


@pytest.mark.parametrize("role", ["val", "test"])
@pytest.mark.parametrize(
    ("encode", "said"),
    [
        (lambda words, _: (pa.array(["Cat", *words[1:]]), None), "a class 'Cat' that the training part lacks"),
        (lambda words, n: numbers((*WORDS, "dog"))((*words[1:], "dog"), n), "row 5 of"),
        (lambda words, _: (pa.array([3] * len(words)), None), "has the label 3, but there are names for 3"),
        (lambda words, _: (pa.array([0, None, *[1] * (len(words) - 2)]), None), "row 1 of"),
    ],
)
def test_classes_that_train_lacks_are_found_before_a_search(
    tmp_path: Path, role: str, encode: Encoder, said: str
) -> None:
    write_words(tmp_path / "train.parquet", ROWS, numbers(WORDS), 0)
    write_words(tmp_path / f"{role}.parquet", WORDS * 2, encode, 1)
    assert said in refused(load_data, str(tmp_path))


@pytest.mark.parametrize("hidden", [pa.array([-1] * 6), pa.array([None] * 6, pa.int64()), pa.nulls(6)])
def test_a_test_part_with_hidden_labels_is_left_out_and_this_is_said(tmp_path: Path, hidden: Any) -> None:
    write_words(tmp_path / "train.parquet", ROWS, numbers(WORDS), 0)
    write_words(tmp_path / "test.parquet", WORDS * 2, lambda *_: (hidden, WORDS), 1)
    data = load_data(str(tmp_path))
    assert data.info.sizes["test"] == 0
    assert data.test is None
    assert "the test part is left out: none of its 6 rows has a label" in data.info.notes
    (tmp_path / "test.parquet").rename(tmp_path / "val.parquet")
    assert "no row of the val files" in refused(load_data, str(tmp_path))


def test_a_test_part_without_the_labels_column_is_left_out_and_this_is_said(tmp_path: Path) -> None:
    write_words(tmp_path / "train.parquet", ROWS, numbers(WORDS), 0)
    write(tmp_path / "test.parquet", {"image": structs(contents(WORDS))})
    data = load_data(str(tmp_path))
    assert data.test is None
    assert "the test part is left out: test.parquet has no column 'label'" in data.info.notes
    (tmp_path / "test.parquet").rename(tmp_path / "val.parquet")
    assert "val.parquet has no column 'label', as train.parquet has" in refused(load_data, str(tmp_path))


def test_parts_without_rows(tmp_path: Path) -> None:
    write_words(tmp_path / "train.parquet", ROWS, numbers(WORDS), 0)
    write_words(tmp_path / "test.parquet", (), numbers(WORDS), 1)
    data = load_data(str(tmp_path))
    assert data.test is None
    assert "the test files have no rows and are left out" in data.info.notes
    (tmp_path / "test.parquet").rename(tmp_path / "val.parquet")
    assert "val.parquet has no images" in refused(load_data, str(tmp_path))


def test_every_file_has_the_columns_of_the_first(tmp_path: Path) -> None:
    write_words(tmp_path / "train.parquet", ROWS, numbers(WORDS), 0)
    write(tmp_path / "val.parquet", {"img": structs(contents(ROWS)), "label": pa.array(GOOD)})
    assert "val.parquet has no column 'image', as train.parquet has" in refused(load_data, str(tmp_path))
    twice = pa.Table.from_arrays([structs(contents(ROWS)), pa.array(GOOD), pa.array(GOOD)], ["image", "label", "label"])
    pq.write_table(twice, tmp_path / "train.parquet")
    (tmp_path / "val.parquet").unlink()
    assert "several columns that may hold the label, label, label" in refused(load_data, str(tmp_path))


def test_broken_files_are_all_named_at_once(tmp_path: Path) -> None:
    for number in range(4):
        write_words(tmp_path / f"train-0000{number}-of-00004.parquet", ROWS, numbers(WORDS), number)
    write_words(tmp_path / "test.parquet", WORDS, numbers(WORDS), 5)
    for name, length in (("train-00001-of-00004", 900), ("train-00003-of-00004", 0), ("test", 20)):
        path = tmp_path / f"{name}.parquet"
        path.write_bytes(path.read_bytes()[:length])
    message = refused(load_data, str(tmp_path))
    assert "3 of 5 files are not readable parquet" in message
    assert all(name in message for name in ("train-00001-of", "train-00003-of", "test.parquet"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"", "an empty file"),
    ],
)
def test_what_was_downloaded_in_the_place_of_a_file_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "train.parquet").write_bytes(content)
    assert said in refused(load_data, str(tmp_path))


def test_bytes_that_changed_on_the_way_are_found(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    columns = {"image": structs(contents(ROWS)), "label": pa.array(GOOD)}
    write(path, columns, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    place = content.index(b"IDAT", len(content) // 3) + 20
    content[place] ^= 1
    path.write_bytes(content)
    assert "not a readable parquet file" in refused(load_data, str(tmp_path))


def test_rows_may_name_files_beside_them_but_none_outside_of_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "set"
    paths: list[str | None] = []
    for row, content in enumerate(contents(ROWS)):
        paths.append(f"data/images/{row}.png" if row % 2 else f"images/{row}.png")
        (root / "data" / "images").mkdir(parents=True, exist_ok=True)
        (root / "data" / "images" / f"{row}.png").write_bytes(content)
    column = pa.array([{"path": path} for path in paths])
    write(root / "data" / "train.parquet", {"image": column, "label": pa.array(ROWS)})
    data = load_data(str(root))
    assert_right(data)
    assert "IDAT" in (root / "data" / "images" / "0.png").read_bytes().decode("latin-1")
    (tmp_path / "secret.png").write_bytes(contents(WORDS)[0])
    for path in (
        "../../secret.png",
        str(tmp_path / "secret.png"),
        "images/none.png",
        "https://example.org/x.png",
        "a\0b",
    ):
        column = structs([None] * len(ROWS), [*paths[:3], path, *paths[4:]])
        write(root / "data" / "train.parquet", {"image": column, "label": pa.array(ROWS)})
        message = refused(load_data, str(root))
        assert "row 3 of" in message
        assert f"is not in {root}" in message
    assert load_data(f"{root}?bad=skip").info.left_out == 1


@pytest.mark.parametrize("size", [(8, 8), (150, 140)])
def test_broken_rows_are_all_found_at_once_or_left_out(tmp_path: Path, size: tuple[int, int]) -> None:
    files: list[bytes | None] = [*contents(ROWS, size=size)]
    whole = contents(WORDS, 70, size)[2]
    files[2], files[5], files[8], files[11], files[14] = None, b"", b"<html>", whole[: len(whole) // 2], whole[:-40]
    write(tmp_path / "train.parquet", {"image": structs(files), "label": pa.array(ROWS)})
    message = refused(load_data, f"{tmp_path}?size=8" if size == (8, 8) else str(tmp_path))
    assert "5 of 24 images cannot be read: row 2 of" in message
    assert "?bad=skip" in message
    data = load_data(f"{tmp_path}?bad=skip")
    assert data.info.left_out == 5
    assert sum(data.info.sizes.values()) == 19
    assert any("left out by ?bad=skip: 5, such as row 2 of" in note for note in data.info.notes)


@pytest.mark.parametrize("size", [(8, 8), (150, 140)])
def test_rows_that_are_there_twice_are_said(tmp_path: Path, size: tuple[int, int]) -> None:
    files = {role: contents(WORDS * 4, 100 * number, size) for number, role in enumerate(("train", "val", "test"))}
    for role in files:
        write(tmp_path / f"{role}.parquet", {"image": structs(files[role]), "label": pa.array(WORDS * 4)})
    assert load_data(str(tmp_path)).info.notes == ()
    files["val"][4] = files["train"][1]
    files["test"][3], files["test"][7] = files["train"][0], files["val"][2]
    for role in files:
        write(tmp_path / f"{role}.parquet", {"image": structs(files[role]), "label": pa.array(WORDS * 4)})
    notes = " ".join(load_data(str(tmp_path)).info.notes)
    assert f"1 of the val images are also in train: row 4 of {tmp_path}/val.parquet is row 1 of" in notes
    assert "1 of the test images are also in train" in notes
    assert "1 of the test images are also in val" in notes
    assert "images under two classes: 1" in notes


def test_photographs_of_any_size_and_mode_are_read_as_from_folders(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    files = contents(ROWS, size=(160, 150))
    picture(0, 50, (200, 160)).save(tmp_path / "x.jpg", exif=exif)
    files[0] = (tmp_path / "x.jpg").read_bytes()
    files[3] = encoded(picture(0, 51, (300, 140)).convert("CMYK"), "JPEG")
    files[6] = encoded(picture(0, 52, (140, 300)).convert("RGBA"))
    write(tmp_path / "train.parquet", {"image": structs(files), "label": pa.array(ROWS)})
    info = load_data(str(tmp_path)).info
    assert info.input_size == (3, 224, 224)
    for word in ("1 image turned upright", "1 image of CMYK", "1 image with transparency"):
        assert word in " ".join(info.notes)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([[0.5, 0.5]] * len(ROWS)), "not images"),
        (pa.array([f"{row}.png" for row in range(len(ROWS))]), "is string, not images"),
        (pa.array([[{"bytes": b"1"}]] * len(ROWS)), "not images"),
        (pa.array([{"file": "a"}] * len(ROWS)), "not images"),
        (pa.array([bytes(192)] * len(ROWS)), "unknown format"),
        (structs([None] * len(ROWS)), "24 of 24 images cannot be read"),
    ],
)
def test_columns_that_are_no_encoded_images_are_refused(tmp_path: Path, column: Any, said: str) -> None:
    write(tmp_path / "train.parquet", {"image": column, "label": pa.array(ROWS)})
    assert said in refused(load_data, str(tmp_path))
