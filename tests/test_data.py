"""Data sets: where they are found, how they are split, and what is said about damaged files."""

from __future__ import annotations

import gzip
import hashlib
import os

import numpy as np
import pytest
from data_helpers import (
    IDX_FILES,
    arrays,
    assert_holds,
    idx_bytes,
    original_order,
    refusal,
    rows_of,
    write_idx,
)

from neurosim import data
from neurosim.core.errors import DataError, InputError, UnknownNameError
from neurosim.data import archive, locate

pytestmark = pytest.mark.usefixtures("folder")

GIVEN = os.environ.get("NEUROSIM_DATA", "")
DEBIAN = locate.DEBIAN_FOLDER


# splits


def test_digits_split_is_fixed_disjoint_and_balanced():
    from sklearn.datasets import load_digits

    digits = data.load("digits")
    assert (len(digits.x_train), len(digits.x_validation), len(digits.x_test)) == (1250, 250, 297)
    bundled = load_digits()
    everything = rows_of(digits.x_train, digits.x_validation, digits.x_test)
    assert sorted(everything) == sorted(rows_of(bundled.data.astype(np.uint8)))
    exact = np.bincount(bundled.target) * 297 / 1797
    assert (np.abs(np.bincount(digits.y_test) - exact) < 1).all()
    split = hashlib.sha256(digits.x_train.tobytes() + digits.x_validation.tobytes() + digits.x_test.tobytes())
    assert split.hexdigest() == "3f66c88a8f6f276402baf34cb3adc4bb8385eb1972461e2463f182ece9d0c815"


def test_digits_labels_follow_their_images():
    from sklearn.datasets import load_digits

    bundled = load_digits()
    label_of = dict(zip(rows_of(bundled.data.astype(np.uint8)), bundled.target, strict=True))
    digits = data.load("digits")
    for images, labels in ((digits.x_test, digits.y_test), digits.training(hold_out=False)):
        assert [label_of[row] for row in rows_of(images)] == labels.tolist()


def test_permutation_depends_on_name_and_size_only():
    order = data.permutation("mnist", 60_000)
    assert sorted(order) == list(range(60_000))
    np.testing.assert_array_equal(order[:5], [46157, 42269, 58790, 19614, 50617])
    assert (order != data.permutation("fashion-mnist", 60_000)).any()


def test_validation_is_one_sixth_disjoint_and_the_same_again(folder):
    content = arrays(train=60)
    np.savez(folder / "mnist.npz", **content)
    first, second = data.load("mnist"), data.load("mnist")
    assert (len(first.x_train), len(first.x_validation)) == (50, 10)
    assert not set(rows_of(first.x_train)) & set(rows_of(first.x_validation))
    np.testing.assert_array_equal(first.x_validation, second.x_validation)
    np.testing.assert_array_equal(first.y_train, second.y_train)
    images, labels = first.training()
    np.testing.assert_array_equal(images, first.x_train)
    assert len(labels) == 50
    merged = first.training(hold_out=False)
    assert sorted(rows_of(merged.images)) == sorted(rows_of(content["x_train"]))


def test_subset_is_nested_keeps_sides_and_pairs(folder):
    content = arrays(train=120, test=40)
    np.savez(folder / "mnist.npz", **content)
    whole = data.load("mnist")
    large, small = whole.subset(train=60, test=20), whole.subset(train=30, test=10)
    assert (len(small.y_train), len(small.y_validation), len(small.y_test)) == (25, 5, 10)
    for part in ("x_train", "x_validation", "x_test"):
        assert set(rows_of(getattr(small, part))) < set(rows_of(getattr(large, part)))
        assert set(rows_of(getattr(large, part))) < set(rows_of(getattr(whole, part)))
    label_of = dict(zip(rows_of(whole.x_test), whole.y_test, strict=True))
    assert [label_of[row] for row in rows_of(small.x_test)] == small.y_test.tolist()
    assert rows_of(small.x_test) != rows_of(whole.x_test[:10])
    assert len(whole.subset().training(hold_out=False).labels) == 120


@pytest.mark.parametrize("sizes", [{"train": 0}, {"train": 13}, {"test": 6}, {"test": -1}])
def test_subset_refuses_impossible_sizes(folder, sizes):
    np.savez(folder / "mnist.npz", **arrays())
    with pytest.raises(InputError, match=r"ask for 1 to (12|5),"):
        data.load("mnist").subset(**sizes)


def test_inputs_divide_by_full_scale():
    digits = data.load("digits")
    inputs = digits.inputs(digits.x_test)
    assert inputs.dtype == np.float32
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(inputs * 16, digits.x_test)
    with pytest.raises(InputError, match="uint8"):
        digits.inputs(inputs)
    with pytest.raises(InputError, match=r"\(n, 64\)"):
        digits.inputs(digits.x_test[0])


# the real files, where they are


def test_mnist_as_published(monkeypatch):
    monkeypatch.setenv("NEUROSIM_DATA", GIVEN)
    try:
        mnist = data.load("mnist")
    except DataError as error:
        if "not found" in str(error):
            pytest.skip("NEUROSIM_DATA names no folder with MNIST")
        raise
    assert (mnist.note, mnist.image_shape, mnist.classes) == ("MNIST", (28, 28, 1), 10)
    assert (len(mnist.x_train), len(mnist.x_validation), len(mnist.x_test)) == (50_000, 10_000, 10_000)
    images, labels = original_order(mnist)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    original = {
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db": images.reshape(-1, 28, 28),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5": labels.astype(np.uint8),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7": mnist.x_test.reshape(-1, 28, 28),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2": mnist.y_test.astype(np.uint8),
    }
    for sha256, array in original.items():
        assert hashlib.sha256(idx_bytes(array)).hexdigest() == sha256


def test_fashion_mnist_of_debian(monkeypatch):
    monkeypatch.setattr(locate, "DEBIAN_FOLDER", DEBIAN)
    if not (DEBIAN / "fashion-mnist").is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    fashion = data.load("fashion-mnist")
    assert fashion.note == "Fashion-MNIST"
    assert original_order(fashion)[1][:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert np.bincount(fashion.y_test).tolist() == [1000] * 10


# MNIST and Fashion-MNIST: forms and places


@pytest.mark.parametrize("place", ["", "mnist"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(folder, place, save):
    content = arrays()
    (folder / place).mkdir(exist_ok=True)
    save(folder / place / "mnist.npz", **content)
    dataset = data.load("mnist")
    assert_holds(dataset, content)
    assert dataset.note == "MNIST, 12 of 60000 training and 5 of 10000 test images"


@pytest.mark.parametrize("file", ["fashion-mnist.npz", "fashion_mnist.npz"])
def test_fashion_npz(folder, file):
    content = arrays()
    np.savez(folder / file, **content)
    assert_holds(data.load("fashion-mnist"), content)
    assert "not found" in refusal("mnist")


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize("place", ["", "mnist", "MNIST/raw"])
def test_idx(folder, place, gz):
    content = arrays()
    write_idx(folder / place, content, gz)
    assert_holds(data.load("mnist"), content)
    assert "not found" in refusal("fashion-mnist")


@pytest.mark.parametrize("place", ["fashion-mnist", "FashionMNIST/raw"])
def test_fashion_idx_only_in_its_own_folder(folder, place, monkeypatch):
    content = arrays()
    write_idx(folder / place, content, gz=True)
    assert_holds(data.load("fashion-mnist"), content)
    assert "not found" in refusal("mnist")
    monkeypatch.setenv("NEUROSIM_DATA", str(folder / place))
    assert_holds(data.load("fashion-mnist"), content)
    assert "not found" in refusal("mnist")


def test_debian_folder_is_for_fashion_mnist_only(tmp_path, monkeypatch):
    monkeypatch.setattr(locate, "DEBIAN_FOLDER", tmp_path / "debian")
    content = arrays()
    write_idx(tmp_path / "debian" / "fashion-mnist", content, gz=True)
    write_idx(tmp_path / "debian" / "mnist", content, gz=True)
    assert_holds(data.load("fashion-mnist"), content)
    assert "not found" in refusal("mnist")


def test_folders_are_searched_in_order(folder, tmp_path, monkeypatch):
    contents = [arrays(seed=seed) for seed in range(3)]
    places = [tmp_path / "first", folder, tmp_path / "cache" / "neurosim"]
    for place, content in zip(places, contents, strict=True):
        write_idx(place, content)
    monkeypatch.setenv(
        "NEUROSIM_DATA", os.pathsep.join(["", str(tmp_path / "nothing"), *map(str, places[:2])])
    )
    for place, content in zip(places, contents, strict=True):
        assert_holds(data.load("mnist"), content)
        for file in IDX_FILES:
            (place / file).unlink()
    assert "not found" in refusal("mnist")


def test_home_cache_without_xdg(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("NEUROSIM_DATA")
    content = arrays()
    write_idx(tmp_path / "home" / ".cache" / "neurosim" / "mnist", content)
    assert_holds(data.load("mnist"), content)


# missing and damaged


def test_unknown_name_gives_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'fashion-mnist'"):
        data.load("fashion_mnist")
    with pytest.raises(UnknownNameError, match="known: cifar10, cifar100, digits, fashion-mnist, mnist"):
        data.download("imagewoof")
    assert set(data.names()) == {
        "digits",
        "mnist",
        "fashion-mnist",
        "cifar10",
        "cifar100",
        "stl10",
        "imagenette",
        "imagenet",
    }


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_nothing_found_says_what_where_and_how(tmp_path, monkeypatch, name):
    gone = tmp_path / "gone"
    monkeypatch.setenv("NEUROSIM_DATA", str(gone))
    message = refusal(name)
    assert f"{gone} (no such folder)" in message
    assert str(tmp_path / "cache" / "neurosim") in message
    assert "set NEUROSIM_DATA" in message
    assert f"neurosim.data.download('{name}')" in message
    assert ("apt-get install dataset-fashion-mnist" in message) == (name == "fashion-mnist")
    assert {"mnist": "mnist.npz", "cifar10": "cifar10_jpeg.npz"}.get(name, "idx files") in message
    monkeypatch.delenv("NEUROSIM_DATA")
    assert "NEUROSIM_DATA is not set" in refusal(name)


def damage(**changes):
    content = arrays() | changes
    return {key: value for key, value in content.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (damage(y_train=None), "lacks y_train"),
        (damage(x_test=None, y_test=None), "lacks x_test, y_test"),
        (damage(y_train=np.zeros(11, np.uint8)), "12 images but 11 labels"),
        (damage(y_test=np.full(5, 10, np.uint8)), "labels run from 10 to 10, expected 0 to 9"),
        (damage(y_test=np.full(5, -1)), "labels run from -1"),
        (damage(y_test=np.zeros(5)), "integer labels, got float64"),
        (damage(x_test=np.zeros((5, 28, 28))), "uint8 images of 28 x 28 x 1, got float64"),
        (damage(x_test=np.zeros((5, 27, 28), np.uint8)), r"\(5, 27, 28\)"),
        (damage(x_test=np.zeros((0, 28, 28), np.uint8), y_test=np.zeros(0, np.uint8)), "no images"),
        (damage(y_test=np.array([{}] * 5)), "Object arrays cannot be loaded"),
    ],
)
def test_wrong_npz_is_named(folder, content, expected):
    np.savez(folder / "mnist.npz", **content)
    with pytest.raises(DataError, match=expected) as caught:
        data.load("mnist")
    assert str(folder / "mnist.npz") in str(caught.value)


def test_npz_truncated_anywhere_is_refused(folder):
    path = folder / "mnist.npz"
    np.savez_compressed(path, **arrays(train=2, test=2))
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert str(path) in refusal("mnist")


def test_npz_with_flipped_bytes_is_refused_or_unharmed(tmp_path):
    path, content = tmp_path / "small.npz", {"x": np.arange(40, dtype=np.uint8)}
    np.savez_compressed(path, **content)
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            np.testing.assert_array_equal(archive.read_npz(path, ("x",))["x"], content["x"])
        except DataError:
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        (IDX_FILES[0], lambda raw: raw[:-1], "truncated: header says 12 x 28 x 28 bytes"),
        (IDX_FILES[0], lambda raw: raw[:7], "truncated: 7 bytes, shorter than its header"),
        (IDX_FILES[0], lambda raw: b"", "truncated: 0 bytes"),
        (IDX_FILES[2], lambda raw: raw + b"\0", "too long"),
        (IDX_FILES[2], lambda raw: b"\0\0\x08\x01" + raw[4:], "wrong magic number 2049, expected 2051"),
        (IDX_FILES[1], lambda raw: b"\0\0\x0d\x01" + raw[4:], "wrong magic number 3329, expected 2049"),
        (IDX_FILES[1], lambda raw: idx_bytes(np.zeros(11, np.uint8)), "12 images but 11 labels"),
        (IDX_FILES[3], lambda raw: idx_bytes(np.full(5, 17, np.uint8)), "labels run from 17 to 17"),
    ],
)
@pytest.mark.parametrize("gz", [False, True])
def test_damaged_idx_is_named(folder, file, change, expected, gz):
    write_idx(folder, arrays(), gz)
    path = folder / (f"{file}.gz" if gz else file)
    raw = change(gzip.decompress(path.read_bytes()) if gz else path.read_bytes())
    path.write_bytes(gzip.compress(raw) if gz else raw)
    message = refusal("mnist")
    assert expected in message
    assert path.name in message


@pytest.mark.parametrize(
    "change", [lambda raw: raw[:-9], lambda raw: b"no gzip", lambda raw: raw[:50] + b"?" * 9]
)
def test_damaged_gzip_is_named(folder, change):
    write_idx(folder, arrays(), gz=True)
    path = folder / f"{IDX_FILES[0]}.gz"
    path.write_bytes(change(path.read_bytes()))
    assert str(path) in refusal("mnist")


@pytest.mark.parametrize("file", IDX_FILES)
def test_missing_idx_companion_is_named(folder, file):
    write_idx(folder, arrays())
    (folder / file).unlink()
    assert f"{folder}: {file}[.gz] is missing" in refusal("mnist")
