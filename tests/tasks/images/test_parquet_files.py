"""Which parquet files are which split: never a test file among those to train on, never a part of a set alone."""

from pathlib import Path

import pytest
from fakes.tasks import refused, write_folder, write_parquet

from mgic_nas.tasks import load_data
from mgic_nas.tasks.images.parquet_files import parquet_files, parquet_folders

HASH = "b42e5f2bd5ee4a0a"


def touch(root: Path, names: str) -> Path:
    for name in names.split():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(root: Path) -> dict[str, str]:
    return {
        role: " ".join(path.relative_to(root).as_posix() for path in paths)
        for role, paths in parquet_files(root).files.items()
        if paths
    }


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train.parquet", "", "test.parquet"),
        ("Train.PARQUET", "VALID.parquet", "Testing.parquet"),
        ("train_0.parquet train_1.parquet", "dev_0.parquet", "holdout.parquet"),
        ("train-1.parquet train-10.parquet train-2.parquet", "", ""),
        ("train_2017.parquet train_2019.parquet", "val2017.parquet", ""),
        ("training_set-1-of-2.parquet training_set-2-of-2.parquet", "", "test_set.parquet"),
        ("data/train-00000-of-00002.parquet data/train-00001-of-00002.parquet", "", "data/test-00000-of-00001.parquet"),
        (f"data/train-00000-of-00001-{HASH}.parquet", f"data/validation-00000-of-00001-{HASH}.parquet", ""),
        ("plain_text/train-00000-of-00001.parquet", "", "plain_text/test-00000-of-00001.parquet"),
        ("train/0000.parquet train/0001.parquet", "validation/0000.parquet", "test/0000.parquet"),
        ("plain_text/train/0000.parquet plain_text/train/0001.parquet", "", "plain_text/test/0000.parquet"),
        ("train.snappy.parquet", "val.gz.parquet", "test.parquet.gzip"),
        ("train_shard_0.pq train_shard_1.pq", "dev-chunk-0.parq", "test_part_1.parquet"),
        ("train/2017.parquet train/2019.parquet", "val/2018.parquet", ""),
        ("train/1.parquet train/2.parquet", "val/1.parquet", ""),
        ("data/train/part.0.parquet data/train/part.1.parquet", "data/dev/part.0.parquet", "data/test.parquet"),
        ("train/data/0000.parquet", "", "test/data/0000.parquet"),
        ("split=train/a.parquet split=train/b.parquet", "", "split=test/a.parquet"),
        (
            "train.parquet/part-00000-1f-c000.snappy.parquet train.parquet/part-00001-1f-c000.snappy.parquet",
            "",
            "test.parquet/part-00000-2f-c000.snappy.parquet",
        ),
        ("snapshots/3f2a/data/train-00000-of-00001.parquet", "", "snapshots/3f2a/data/test-00000-of-00001.parquet"),
    ],
)
def test_the_layouts_of_hubs_and_tools_are_read(tmp_path: Path, train: str, val: str, test: str) -> None:
    touch(tmp_path, f"{train} {val} {test} ._train.parquet .cache/train.parquet __MACOSX/train.parquet README.md")
    assert found(tmp_path) == {
        role: names for role, names in zip(("train", "val", "test"), (train, val, test)) if names
    }
    assert len(parquet_folders(tmp_path)) == 1


@pytest.mark.parametrize(
    ("names", "said"),
    [
        # a set that is not whole
        ("data/train-00000-of-00003.parquet data/train-00002-of-00003.parquet", "lacks train-00001-of-00003.parquet,"),
        ("train.parquet test-00000-of-00002.parquet", "lacks test-00001-of-00002.parquet,"),
        ("train/0000.parquet train/0003.parquet train/0001.parquet", "lacks train/0002.parquet,"),
        ("c/train/0001.parquet c/test/0000.parquet", "lacks train/0000.parquet,"),
        ("train/0000.parquet test/0002.parquet test/0003.parquet", "lacks test/0000.parquet, test/0001.parquet,"),
        ("train-0.snappy.parquet train-2.snappy.parquet", "lacks train-1.snappy.parquet,"),
        ("train-0.parquet train-2.parquet", "lacks train-1.parquet,"),
        (f"train-00001-of-00002-{HASH}.parquet", "lacks train-00000-of-00002.parquet,"),
        ("train-00000-of-09999.parquet", "train-00004-of-09999.parquet and 9,994 more"),
        ("c/train/train-00000-of-00002.parquet c/train/train-00001-of-00003.parquet", "different sets"),
        # a set that is there twice
        ("train-00000-of-00001.parquet train-00000-of-00002.parquet train-00001-of-00002.parquet", "two sets of files"),
        (f"train-00000-of-00001-{HASH}.parquet train-00000-of-00001.parquet", "are the same part of the set"),
        ("train.parquet train-1.parquet", "two sets of files that could be the train part"),
        (
            "train.parquet training.parquet",
            "two sets of files that could be the train part, train.parquet and training",
        ),
        ("train.parquet val.parquet dev.parquet", "two sets of files that could be the val part"),
        ("train/0000.parquet train.parquet", "two sets of files"),
        ("train-00005-of-00003.parquet", "no part of a set of 3"),
        ("train/0.parquet train/more/0.parquet", "holds parquet files and folders of them (more)"),
        # which set?
        ("a/train.parquet b/train.parquet", "several data sets (configurations), a, b: name one"),
        ("a/train/0000.parquet b/train/0000.parquet b/test/0000.parquet", "several data sets (configurations), a, b"),
        ("a/test.parquet b/train.parquet", "name one of them"),
        # names that nobody knows
        ("test.parquet", "none is called train.parquet"),
        ("mnist-train.parquet mnist-test.parquet", "parquet files (mnist-test.parquet, mnist-train.parquet) but none"),
        ("c/partial-train/0000.parquet c/test/0000.parquet", "parquet files (test/, partial-train/) but none"),
        ("0000.parquet 0001.parquet", "none is called train.parquet"),
        ("trainval.parquet test.parquet", "none is called train.parquet"),
        ("fold_1/0.parquet fold_2/0.parquet", "(fold_1/, fold_2/) but none"),
        ("train/train-0.parquet train/test-0.parquet", "lies in train/ but is named after the test part"),
    ],
)
def test_what_is_not_whole_or_not_clear_is_refused(tmp_path: Path, names: str, said: str) -> None:
    assert said in refused(parquet_files, touch(tmp_path, names))
    assert parquet_folders(tmp_path)  # so that it is not taken for a folder of images


def test_the_folder_of_one_split_is_refused_and_the_right_one_named(tmp_path: Path) -> None:
    assert f"name the folder above, {tmp_path}" in refused(
        parquet_files, touch(tmp_path, "train/0000.parquet") / "train"
    )


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("train.parquet train-extra.parquet", "not read, being no split of parquet files: train-extra.parquet"),
        ("train.parquet pretest.parquet unsupervised-00000-of-00001.parquet", "pretest.parquet, unsupervised-00000"),
        ("train/0000.parquet unlabeled/0000.parquet", "not read, being no split of parquet files: unlabeled/"),
        ("train.parquet old/train.parquet", "not read, being no split of parquet files: old/"),
        ("data/train.parquet metadata/index.parquet", "not read, being no split of parquet files: metadata/"),
        ("train.parquet test/cat/0.png test/dog/0.png", "not read, being no split of parquet files: test/"),
        ("train.parquet holdout.parquet", "holdout.parquet is taken for the test part"),
        ("train/0000.parquet dev_set/0000.parquet", "dev_set/ is taken for the val part"),
    ],
)
def test_what_is_not_read_is_said(tmp_path: Path, names: str, note: str) -> None:
    notes = parquet_files(touch(tmp_path, names)).notes
    assert len(notes) == 1
    assert note in notes[0]


def test_a_search_never_trains_on_files_beside_the_splits(tmp_path: Path) -> None:
    for name, count in (("train", 20), ("train-extra", 16), ("test-hard", 10), ("test", 8)):
        write_parquet(tmp_path / f"{name}.parquet", [0, 1] * (count // 2))
    info = load_data(f"{tmp_path}?val=4").info
    assert info.sizes == {"train": 16, "val": 4, "test": 8}
    assert "not read, being no split of parquet files: test-hard.parquet, train-extra.parquet" in info.notes


def test_tables_beside_folders_of_images_leave_them_folders_of_images(tmp_path: Path) -> None:
    write_folder(tmp_path / "a" / "train", ["cat", "dog"], 10)
    touch(tmp_path / "a", "train/metadata.parquet train/boxes.parquet labels.parquet")
    write_folder(tmp_path / "b", ["cat", "dog"], 10)
    touch(tmp_path / "b", "cat/embeddings.parquet")
    write_folder(tmp_path / "c", ["cat", "dog"], 10)
    touch(tmp_path / "c", "cat/metadata.parquet dog/metadata.parquet")
    for name in "abc":
        assert load_data(f"{tmp_path}/{name}").info.classes == ("cat", "dog")
