"""What a network learns from: a teacher must see the images as it was trained to, and mean the same classes."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from fakes.tasks import refused, write_folder
from fakes.training import save

from mgic_nas import train_network
from mgic_nas.tasks import load_data
from mgic_nas.train import get_recipe
from mgic_nas.train.teacher import check_teacher, distillation, resolve_teacher, teacher_id

CPU = torch.device("cpu")
FASHION = "fashion?train=64&val=20&test=20"


@pytest.mark.parametrize(("weight", "mixed"), [(1.0, False), (0.3, False), (0.3, True)])
def test_loss_is_of_the_teachers_answers_on_images_as_it_was_trained(
    tmp_path: Path, weight: float, mixed: bool
) -> None:
    """Grey images of 14 pixels, and a teacher of coloured ones of 32 with another mean."""
    data = load_data(FASHION)
    spec, net = save(tmp_path / "t", data.info.classes)
    student = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    recipe = get_recipe({"name": "quick", "kd_loss_weight": weight, "kd_temperature": 2.0, "smoothing": 0.1})
    task = distillation(resolve_teacher(spec), student, data, recipe, CPU)
    x, y = next(iter(data.val.batches(8)))
    soft = 0.9 * F.one_hot(y, 10) + 0.01
    loss = task(x, soft if mixed else y)["loss"]

    pixels = x * data.info.std[0] + data.info.mean[0]  # in 0..1
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.4, 0.5, 0.6), (0.2, 0.3, 0.1)))
    seen = F.interpolate((pixels - mean) / std, (32, 32), mode="bicubic", antialias=True)
    with torch.no_grad():
        answers = net(seen)
    own = student(x)
    divergence = F.kl_div(F.log_softmax(own / 2, 1), F.softmax(answers / 2, 1), reduction="batchmean") * 4
    labels = F.cross_entropy(own, soft)  # which is what label smoothing makes of y
    assert float(loss.detach()) == pytest.approx(
        float(((1 - weight) * labels + weight * divergence).detach()), rel=1e-4
    )
    loss.backward()
    assert all(p.grad is None for p in task.teacher.parameters())


def test_teacher_is_said_and_is_part_of_what_was_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = load_data(FASHION)
    spec, _ = save(tmp_path / "t", data.info.classes, channels=1, side=14)
    other, _ = save(tmp_path / "u", data.info.classes, channels=1, side=20)
    assert teacher_id(spec) != teacher_id(other)
    assert any("resized from 1x14x14 to 1x20x20" in line for line in check_teacher(other, data))
    given: dict[str, Any] = {
        "name": "test_resnet",
        "data": FASHION,
        "epochs": 1,
        "recipe": {"name": "quick", "batch_size": 32},
        "out": tmp_path / "out",
    }
    first = train_network(**given, teacher=spec)
    assert "of 64 training images" in capsys.readouterr().err
    train_network(**given)  # goes on with it
    assert "nothing to do" in capsys.readouterr().err
    assert "teacher.name" in refused(train_network, **given, teacher=other)
    assert first.trained[0].result["test"]["items"] == 20


def test_teachers_that_mean_something_else_are_refused(tmp_path: Path) -> None:
    data = load_data(FASHION)
    names = data.info.classes
    nine, _ = save(tmp_path / "nine", names[:9])
    assert "knows 9 classes, and the data have 10" in refused(check_teacher, nine, data)
    turned, _ = save(tmp_path / "turned", (names[1], names[0], *names[2:]))
    assert f"'{names[1]}' where '{names[0]}' is" in refused(check_teacher, turned, data)
    assert "knows 1,000 classes" in refused(check_teacher, "test_resnet", data)  # before anything is downloaded
    animals = ("cat", "dog", "fox", "owl")
    write_folder(tmp_path / "photos", animals, 4)
    grey, _ = save(tmp_path / "grey", animals, channels=1)
    photos = load_data(str(tmp_path / "photos"))
    assert "takes 1 channels, and the images have 3" in refused(check_teacher, grey, photos)
    assert "not for functions" in refused(check_teacher, grey, load_data("functions:waves?train=9&val=9&test=9"))
    assert "Did you mean test_resnet" in refused(resolve_teacher, "test_resnot")
    assert "has no config.json" in refused(resolve_teacher, f"local-dir:{tmp_path}")
    (tmp_path / "grey/model.safetensors").write_bytes(b"torn")
    assert "cannot be had" in refused(check_teacher, grey, data)
