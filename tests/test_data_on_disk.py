"""STL-10, Imagenette and ImageNet: read from tiny files of their form, mini-batch by mini-batch."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import arrays, assert_holds, original_order, refusal

from neurosim import DeepArm, DeepExperiment, data
from neurosim.core.errors import DataError, InputError
from neurosim.data.on_disk import OnDisk, joined
from neurosim.study.deep import DeepTraining

pytestmark = pytest.mark.usefixtures("folder")

CLASSES = ("n01440764", "n02102040", "n03888257")


def stl_content(unlabelled: int | None = 30) -> dict[str, Any]:
    content = arrays((96, 96, 3), train=24, test=6)
    if unlabelled:
        content["unlabelled"] = arrays((96, 96, 3), train=unlabelled, test=1, seed=1)["x_train"]
    return content


def stl_bytes(images: np.ndarray) -> bytes:
    """One channel at a time, each column by column, as the data set's page says."""
    return b"".join(image[:, :, c].tobytes(order="F") for image in images for c in range(3))


def write_stl(place: Path, content: dict[str, Any]) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        (place / f"{part}_X.bin").write_bytes(stl_bytes(content[f"x_{part}"]))
        (place / f"{part}_y.bin").write_bytes((content[f"y_{part}"] + 1).tobytes())
    if "unlabelled" in content:
        (place / "unlabeled_X.bin").write_bytes(stl_bytes(content["unlabelled"]))


def on_disk(dataset: data.Dataset) -> dict[str, Any]:
    """The attributes that are still files."""
    return {name: value for name, value in vars(dataset).items() if isinstance(value, OnDisk)}


def in_memory(dataset: data.Dataset) -> data.Dataset:
    images = {name: np.asarray(value) for name, value in on_disk(dataset).items()}
    return data.Dataset(**{**vars(dataset), **images})


# images on disk


def test_selecting_reads_nothing_and_reading_is_that_of_an_array():
    whole = np.random.default_rng(0).integers(0, 256, (20, 6), dtype=np.uint8)
    asked: list[int] = []

    def read(chosen: np.ndarray) -> np.ndarray:
        asked.extend(chosen.tolist())
        return whole[chosen]

    images = OnDisk(read, 6, 20)
    some = images[3:15][np.array([0, 5, 2])]
    assert (images.shape, images.ndim, images.dtype, len(some)) == ((20, 6), 2, np.uint8, 3)
    assert not asked
    np.testing.assert_array_equal(some, whole[[3, 8, 5]])
    assert asked == [3, 8, 5]
    np.testing.assert_array_equal(np.divide(images[:2], 255, dtype=np.float32), whole[:2] / np.float32(255))
    np.testing.assert_array_equal(images[whole[:, 0] > 99], whole[whole[:, 0] > 99])
    np.testing.assert_array_equal(images[-1], whole[-1])
    np.testing.assert_array_equal(np.stack(list(images)), whole)
    asked.clear()
    both = joined(images[10:], images[:4])
    assert isinstance(both, OnDisk)
    assert not asked
    np.testing.assert_array_equal(both, np.concatenate([whole[10:], whole[:4]]))
    assert isinstance(joined(images[:3], whole), np.ndarray)
    with pytest.raises(ValueError, match="without a copy"):
        np.array(images, copy=False)


# STL-10


@pytest.mark.parametrize("place", ["", "stl10_binary", "stl10", "stl10/stl10_binary"])
def test_stl(folder: Path, place: str):
    content = stl_content()
    write_stl(folder / place, content)
    stl = data.load("stl10")
    assert set(on_disk(stl)) == {"x_train", "x_validation", "x_test", "x_unlabelled"}
    assert_holds(in_memory(stl), content)
    images, labels = original_order(stl)
    assert isinstance(images, OnDisk)
    np.testing.assert_array_equal(images, content["x_train"].reshape(24, -1))
    np.testing.assert_array_equal(labels, content["y_train"])
    rows = {row.tobytes() for row in content["unlabelled"].reshape(30, -1)}
    assert {row.tobytes() for row in np.asarray(stl.x_unlabelled)} == rows
    assert (stl.image_shape, stl.rows, stl.classes) == ((96, 96, 3), 27648, 10)
    assert stl.note == (
        "STL-10, 24 of 5000 training and 6 of 8000 test images, 30 of 100000 images without labels"
    )
    np.testing.assert_allclose(stl.inputs(stl.x_test), content["x_test"].reshape(6, -1) / 255, rtol=1e-6)


def test_a_subset_of_stl_keeps_the_share_of_images_without_labels(folder: Path):
    write_stl(folder, stl_content())
    whole, part = data.load("stl10"), data.load("stl10").subset(train=12, test=3)
    assert (len(part.x_train), len(part.x_validation), len(part.x_test)) == (10, 2, 3)
    assert len(part.x_unlabelled) == 15
    np.testing.assert_array_equal(part.x_unlabelled, whole.x_unlabelled[:15])


def test_without_labels_and_with_all_of_them(folder: Path):
    write_stl(folder, stl_content(unlabelled=None))
    stl = data.load("stl10")
    assert stl.x_unlabelled is None
    assert stl.note.endswith("0 of 100000 images without labels")
    assert stl.subset(train=12).x_unlabelled is None


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        ("train_X.bin", lambda raw: raw[:-1], "not whole images of 27648"),
        ("test_X.bin", lambda raw: b"", "not whole images"),
        ("train_X.bin", lambda raw: raw[:27648], "24 labels for 1 images in train_X.bin"),
        ("test_y.bin", lambda raw: raw + b"\1", "7 labels for 6 images"),
        ("train_y.bin", lambda raw: b"\0" + raw[1:], "labels run from 0 to"),
        ("test_y.bin", lambda raw: b"\x0b" + raw[1:], "to 11, expected 1 to 10"),
        ("unlabeled_X.bin", lambda raw: raw[:-5], "not whole images"),
        ("test_X.bin", None, "is missing"),
        ("train_y.bin", None, "is missing"),
    ],
)
def test_damaged_stl_is_named(folder: Path, file: str, change: Any, expected: str):
    write_stl(folder, stl_content(unlabelled=2))
    path = folder / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    message = refusal("stl10")
    assert expected in message
    assert str(folder) in message
    assert file in message
    assert "unpack the archive" in message


def test_networks_learn_from_the_images_without_labels(folder: Path):
    write_stl(folder, stl_content())
    arm = DeepArm(name="ideal")
    spec = DeepExperiment(dataset="stl10", preset="stl", depth=1, head_epochs=1, arm=(arm,))
    training = DeepTraining(spec, arm, 0, data.load("stl10"))
    assert training.total == 3
    assert len(training.fit.labels) == 24
    training.run()
    result = training.result()
    assert result["test_size"] == 6
    labelled = DeepTraining(spec, arm, 0, data.Dataset(**{**vars(training.data), "x_unlabelled": None}))
    assert labelled.total == 2
    labelled.run()
    weights = [each.stack.layers[0].array.weights() for each in (training, labelled)]
    assert (weights[0] != weights[1]).any()


# folders of images


def encoded(pixels: np.ndarray, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def flat(colour: Any, height: int = 170, width: int = 200) -> np.ndarray:
    return np.broadcast_to(np.array(colour, np.uint8), (height, width, 3)).copy()


def write_folders(place: Path, train: int = 4, test: int = 2, classes: tuple[str, ...] = CLASSES) -> None:
    """Images of one colour, whose red tells the class and green the number."""
    for part, count in (("train", train), ("val", test)):
        for red, name in enumerate(classes):
            (place / part / name).mkdir(parents=True)
            for green in range(count):
                file = place / part / name / f"{name}_{green}.JPEG"
                file.write_bytes(encoded(flat((40 * red, 20 * green, 200))))
    (place / "noisy.csv").write_text("path\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "place"),
    [("imagenette", "imagenette2-160"), ("imagenette", "imagenette2"), ("imagenet", "imagenet")],
)
def test_folders_of_images(folder: Path, name: str, place: str, monkeypatch: pytest.MonkeyPatch):
    write_folders(folder / place)
    found = data.load(name)
    assert set(on_disk(found)) == {"x_train", "x_validation", "x_test"}
    assert (found.image_shape, found.classes, found.x_unlabelled) == ((160, 160, 3), 3, None)
    images, labels = original_order(found)
    np.testing.assert_array_equal(labels, [0] * 4 + [1] * 4 + [2] * 4)
    np.testing.assert_array_equal(found.y_test, [0, 0, 1, 1, 2, 2])
    middle = np.asarray(images).reshape(-1, 160, 160, 3)[:, 80, 80].astype(int)
    wanted = [[40 * red, 20 * green, 200] for red in range(3) for green in range(4)]
    assert np.abs(middle - wanted).max() <= 4
    titles = {"imagenette": ("Imagenette", 10, 9469, 3925), "imagenet": ("ImageNet", 1000, 1281167, 50000)}
    title, classes, train, test = titles[name]
    assert found.note == (
        f"{title} at 160 pixels, 3 of {classes} classes, 12 of {train} training and 6 of {test} test images"
    )
    monkeypatch.setenv("NEUROSIM_DATA", str(folder / place))
    assert data.load(name).note == found.note
    other = "imagenet" if name == "imagenette" else "imagenette"
    assert "not found" in refusal(other)


def test_the_short_side_is_scaled_and_the_middle_taken(folder: Path):
    place = folder / "imagenette"
    write_folders(place)
    wide = flat((0, 0, 0), 160, 260)
    wide[:, 50:210] = (250, 250, 250)
    tall = flat((0, 0, 0), 1300, 640)
    tall[330:970] = (250, 250, 250)
    for number, pixels in enumerate((wide, tall)):
        (place / "val" / CLASSES[0] / f"{CLASSES[0]}_{number}.JPEG").write_bytes(encoded(pixels))
    found = np.asarray(data.load("imagenette").x_test[:2])
    assert found.reshape(2, 160, 160, 3)[:, 2:-2, 2:-2].min() >= 244


def test_images_of_the_size_wanted_are_cut_only(folder: Path):
    place = folder / "imagenette"
    write_folders(place)
    pixels = np.random.default_rng(0).integers(0, 256, (160, 213, 3), dtype=np.uint8)
    (place / "val" / CLASSES[0] / "a.png").write_bytes(encoded(pixels, "PNG"))
    found = np.asarray(data.load("imagenette").x_test)
    assert any((image.reshape(160, 160, 3) == pixels[:, 26:186]).all() for image in found)


def test_grey_and_four_colour_files_and_png_named_jpeg_are_read(folder: Path):
    place = folder / "imagenet"
    write_folders(place)
    files = [place / "val" / CLASSES[0] / f"{CLASSES[0]}_{number}.JPEG" for number in range(3)]
    files[0].write_bytes(encoded(flat((90, 90, 90)), mode="L"))
    files[1].write_bytes(encoded(flat((90, 90, 90)), mode="CMYK"))
    files[2].write_bytes(encoded(flat((90, 90, 90)), "PNG"))
    found = np.asarray(data.load("imagenet").x_test[:3])
    assert np.abs(found.astype(int) - 90).max() <= 6


def test_wrong_folders_are_named(folder: Path):
    place = folder / "imagenette"
    write_folders(place)
    (place / "val" / "n09999999").mkdir()
    assert f"{place}: class n09999999 is in one of train and val only (1 such" in refusal("imagenette")
    (place / "val" / "n09999999").rmdir()
    for file in (place / "train" / CLASSES[1]).iterdir():
        file.unlink()
    assert f"{place / 'train' / CLASSES[1]}: holds no images" in refusal("imagenette")
    (place / "val").rename(folder / "elsewhere")
    message = refusal("imagenette")
    assert f"{place / 'val'}: cannot be read" in message
    assert "the same folders in val" in message
    (place / "val").mkdir()
    assert f"{place / 'val'}: holds no folders" in refusal("imagenette")


def test_a_damaged_image_is_named_when_it_is_used(folder: Path):
    place = folder / "imagenette"
    write_folders(place)
    path = place / "val" / CLASSES[2] / f"{CLASSES[2]}_1.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    found = data.load("imagenette")
    assert found.inputs(found.x_test[:5]).shape == (5, 76800)
    with pytest.raises(DataError, match=f"{path}: damaged image") as caught:
        found.inputs(found.x_test[4:])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("stl10", ("train_X.bin", "stl10_binary.tar.gz")),
        ("imagenette", ("train/<class>/*.JPEG", "imagenette2-160")),
        ("imagenet", ("val/<class>/*.JPEG", "ask its maintainers")),
    ],
)
def test_nothing_found_says_what_where_and_how(folder: Path, name: str, words: tuple[str, ...]):
    message = refusal(name)
    for word in (*words, str(folder), "set NEUROSIM_DATA"):
        assert word in message
    with pytest.raises(InputError, match="not downloaded here"):
        data.download(name)
