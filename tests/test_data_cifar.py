"""CIFAR-10 and CIFAR-100: their forms, in order of fidelity, and what is said about damaged ones."""

from __future__ import annotations

import io
import pickle
import tarfile

import numpy as np
import pytest
from data_helpers import arrays, assert_holds, original_order, refusal

from neurosim import data

pytestmark = pytest.mark.usefixtures("folder")


# CIFAR-10


def binary_batches(content):
    def records(x, y):
        return np.hstack([y[:, None], x.transpose(0, 3, 1, 2).reshape(len(x), -1)]).tobytes()

    parts = zip(np.array_split(content["x_train"], 5), np.array_split(content["y_train"], 5), strict=True)
    batches = {f"data_batch_{i}.bin": records(x, y) for i, (x, y) in enumerate(parts, 1)}
    return batches | {"test_batch.bin": records(content["x_test"], content["y_test"])}


def write_folder(folder, batches):
    place = folder / "cifar-10-batches-bin"
    place.mkdir()
    for name, raw in batches.items():
        (place / name).write_bytes(raw)
    return place


def write_tar(folder, batches):
    path = folder / "cifar-10-binary.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, raw in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
    return path


def jpeg(pixels):
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return file.getvalue()


def jpeg_container(content):
    container = {}
    for part in ("train", "test"):
        files = [jpeg(image) for image in content[f"x_{part}"]]
        container[f"jpeg_{part}"] = np.frombuffer(b"".join(files), np.uint8)
        container[f"offset_{part}"] = np.cumsum([0, *map(len, files)])
        container[f"y_{part}"] = content[f"y_{part}"]
    return container


def flat_colours(train=12, test=5):
    """One colour per image, so that JPEG loses next to nothing."""
    content = arrays((1, 1, 3), train, test)
    return content | {x: np.repeat(np.repeat(content[x], 32, 1), 32, 2) for x in ("x_train", "x_test")}


@pytest.mark.parametrize("write", [write_folder, write_tar])
def test_cifar_binary(folder, write):
    content = arrays((32, 32, 3))
    write(folder, binary_batches(content))
    cifar = data.load("cifar10")
    assert_holds(cifar, content)
    assert cifar.note.startswith("CIFAR-10, 12 of 50000")
    assert (cifar.image_shape, cifar.rows) == ((32, 32, 3), 3072)


@pytest.mark.parametrize("write", [write_folder, write_tar])
def test_damaged_cifar_binary_is_named(folder, write):
    batches = binary_batches(arrays((32, 32, 3)))
    source = write(folder, batches | {"data_batch_2.bin": batches["data_batch_2.bin"][:-1]})
    assert f"{source}: data_batch_2.bin is truncated" in refusal("cifar10")


def test_incomplete_cifar_binary_is_named(folder):
    batches = binary_batches(arrays((32, 32, 3)))
    del batches["test_batch.bin"]
    assert f"{write_folder(folder, batches)}: test_batch.bin is missing" in refusal("cifar10")


def test_truncated_cifar_archive_is_named(folder):
    path = write_tar(folder, binary_batches(arrays((32, 32, 3))))
    whole = path.read_bytes()
    for length in (0, 5, 1000, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert str(path) in refusal("cifar10")


def test_flipped_byte_in_cifar_archive_is_noticed(folder):
    path = write_tar(folder, binary_batches(arrays((32, 32, 3))))
    whole = path.read_bytes()
    for position in range(100, len(whole), len(whole) // 25):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        assert str(path) in refusal("cifar10")


def test_cifar_jpeg_container(folder, tmp_path):
    content = flat_colours()
    np.savez(folder / "cifar10_jpeg.npz", **jpeg_container(content))
    first = data.load("cifar10")
    assert first.note.startswith("CIFAR-10 (JPEG q75), 12 of 50000")
    images, labels = original_order(first)
    np.testing.assert_array_equal(labels, content["y_train"])
    assert np.abs(images - content["x_train"].reshape(12, -1).astype(float)).max() <= 6
    assert np.abs(first.x_test - content["x_test"].reshape(5, -1).astype(float)).max() <= 6
    assert [path.suffix for path in (tmp_path / "cache" / "neurosim").iterdir()] == [".npz"]


def test_decoded_jpeg_is_kept_by_checksum_and_made_again_when_damaged(folder, tmp_path, monkeypatch):
    from neurosim.data import cifar

    decode, decoded = cifar._decode, []
    monkeypatch.setattr(cifar, "_decode", lambda path: decoded.append(path) or decode(path))
    np.savez(folder / "cifar10_jpeg.npz", **jpeg_container(flat_colours()))
    first, second = data.load("cifar10"), data.load("cifar10")
    assert len(decoded) == 1
    np.testing.assert_array_equal(first.x_train, second.x_train)
    (kept,) = (tmp_path / "cache" / "neurosim").iterdir()
    kept.write_bytes(kept.read_bytes()[:500])
    np.testing.assert_array_equal(data.load("cifar10").x_test, first.x_test)
    np.savez(folder / "cifar10_jpeg.npz", **jpeg_container(flat_colours(test=6)))
    assert len(data.load("cifar10").x_test) == 6
    assert len(decoded) == 3


def test_unwritable_cache_is_no_obstacle(folder, tmp_path):
    (tmp_path / "cache").write_text("a file where the cache folder should be")
    content = flat_colours()
    np.savez(folder / "cifar10_jpeg.npz", **jpeg_container(content))
    np.testing.assert_array_equal(data.load("cifar10").y_test, content["y_test"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda c: {"offset_train": c["offset_train"] + 1}, "offset_train does not divide"),
        (lambda c: {"offset_train": c["offset_train"][::-1]}, "offset_train does not divide"),
        (lambda c: {"offset_test": c["offset_test"][:-1]}, "offset_test bounds 4 images, y_test 5"),
        (lambda c: {"jpeg_test": np.zeros_like(c["jpeg_test"])}, "jpeg_test: image 0 is damaged"),
        (lambda c: {"jpeg_test": c["jpeg_test"].astype(float)}, "jpeg_test must be a uint8 stream"),
        (lambda c: {"y_test": c["y_test"] + 10}, "expected 0 to 9"),
    ],
)
def test_damaged_jpeg_container_is_named(folder, change, expected):
    container = jpeg_container(flat_colours())
    np.savez(folder / "cifar10_jpeg.npz", **container | change(container))
    message = refusal("cifar10")
    assert expected in message
    assert str(folder / "cifar10_jpeg.npz") in message


def test_jpeg_of_another_size_is_refused(folder):
    content = flat_colours()
    content["x_train"] = content["x_train"][:, :16]
    np.savez(folder / "cifar10_jpeg.npz", **jpeg_container(content))
    assert "(32, 16) pixels, expected (32, 32)" in refusal("cifar10")


def test_cifar_forms_in_order_of_fidelity(folder, tmp_path):
    subset, original = arrays((32, 32, 3), train=6), arrays((32, 32, 3), train=18)
    np.savez(folder / "cifar10.npz", **subset)
    assert_holds(data.load("cifar10"), subset)
    np.savez(folder / "cifar10_jpeg.npz", **jpeg_container(flat_colours()))
    assert len(data.load("cifar10").training(hold_out=False).labels) == 12
    cache = tmp_path / "cache" / "neurosim"
    write_folder(cache, binary_batches(original))
    assert_holds(data.load("cifar10"), original)


@pytest.mark.parametrize("name", ["cifar-10-python.tar.gz", "cifar-10-batches-py"])
def test_pickled_cifar_is_refused(folder, name):
    path = folder / name
    if path.suffix:
        write_tar(folder, {"data_batch_1": pickle.dumps({b"data": 0})}).rename(path)
    else:
        path.mkdir()
        (path / "data_batch_1").write_bytes(pickle.dumps({b"data": 0}))
    message = refusal("cifar10")
    assert str(path) in message
    assert "pickles" in message
    assert "cifar-10-binary.tar.gz" in message
    content = arrays((32, 32, 3))
    np.savez(folder / "cifar10.npz", **content)
    assert_holds(data.load("cifar10"), content)


# CIFAR-100


def of_a_hundred(train=24, test=7):
    """Images of all kinds of classes, up to the last."""
    content = arrays((32, 32, 3), train, test)
    classes = np.random.default_rng(3)
    return content | {
        "y_train": classes.integers(0, 100, train).astype(np.uint8),
        "y_test": np.r_[classes.integers(0, 100, test - 1), 99].astype(np.uint8),
    }


def hundred_files(content):
    """Records of superclass, class and pixels."""
    return {
        f"{part}.bin": np.hstack(
            [
                y[:, None] // 5,
                y[:, None],
                content[f"x_{part}"].transpose(0, 3, 1, 2).reshape(len(y), -1),
            ]
        ).astype(np.uint8).tobytes()
        for part, y in ((part, content[f"y_{part}"]) for part in ("train", "test"))
    }  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
def test_cifar100_is_read_by_its_hundred_classes(folder, packed):
    content = of_a_hundred()
    files = hundred_files(content) | {"fine_label_names.txt": b"apple"}
    if packed:
        with tarfile.open(folder / "cifar-100-binary.tar.gz", "w:gz") as tar:
            for name, raw in files.items():
                member = tarfile.TarInfo(f"cifar-100-binary/{name}")
                member.size = len(raw)
                tar.addfile(member, io.BytesIO(raw))
    else:
        (folder / "cifar-100-binary").mkdir()
        for name, raw in files.items():
            (folder / "cifar-100-binary" / name).write_bytes(raw)
    cifar = data.load("cifar100")
    assert_holds(cifar, content)
    assert cifar.note.startswith("CIFAR-100, 24 of 50000")
    assert (cifar.image_shape, cifar.classes) == ((32, 32, 3), 100)
    assert cifar.y_test.max() == 99


def test_what_is_wrong_with_cifar100_is_named(folder):
    assert "cifar-100-binary/ or cifar-100-binary.tar.gz" in refusal("cifar100")
    (folder / "cifar-100-python.tar.gz").write_bytes(b"")
    assert "this version of CIFAR-100 is stored as Python pickles" in refusal("cifar100")
    place = folder / "cifar-100-binary"
    place.mkdir()
    files = hundred_files(of_a_hundred())
    (place / "train.bin").write_bytes(files["train.bin"])
    assert f"{place}: test.bin is missing" in refusal("cifar100")
    (place / "test.bin").write_bytes(files["test.bin"][:-1])
    assert "are not whole records of 3074" in refusal("cifar100")
    (place / "test.bin").write_bytes(files["test.bin"][:1] + b"\x64" + files["test.bin"][2:])
    assert "expected 0 to 99" in refusal("cifar100")
