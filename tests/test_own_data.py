"""Data of one's own: folders, archives, tables, arrays and objects; what is assumed is said, what is not clear is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_helpers import rows_of
from PIL import Image

from neurosim import data
from neurosim.core.errors import ConfigError, DataError, InputError, UnknownNameError
from neurosim.data import Dataset, ScaleWarning, Source, folders_of_images
from neurosim.data.on_disk import OnDisk
from neurosim.data.resize import resized

RNG = np.random.default_rng


def images(n: int, shape: tuple[int, ...] = (6, 6), seed: int = 0) -> np.ndarray:
    found = RNG(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
    found.flat[0] = 255
    return found


def alternating(n: int, classes: int = 3) -> np.ndarray:
    return np.arange(n) % classes


def four(seed: int = 0, shape: tuple[int, ...] = (6, 6)) -> tuple[np.ndarray, ...]:
    return images(36, shape, seed), alternating(36), images(9, shape, seed + 1), alternating(9)


def flowers(
    folder: Path, n: int = 12, parts: tuple[str, ...] = (), size: tuple[int, int] = (6, 6), mode: str = "L"
) -> Path:
    """Write a folder of three classes as PNG files."""
    for number, part in enumerate(parts or ("",)):
        for k, name in enumerate(("aster", "lily", "rose")):
            place = folder / part / name
            place.mkdir(parents=True)
            shape = size if mode == "L" else (*size, {"RGB": 3, "RGBA": 4}[mode])
            for j, pixels in enumerate(images(n, shape, 10 * number + k)):
                Image.fromarray(pixels, mode if mode != "L" else None).save(place / f"{j:03}.png")
    return folder


def said(fault: type[Exception], given: Any) -> str:
    with pytest.raises(fault) as caught:
        data.load(given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestArrays:
    def test_what_goes_in_comes_out_scaled_and_split(self) -> None:
        x, y, x_test, y_test = four()
        found = Dataset.of(x, y, x_test, y_test)
        assert (found.shape, found.image_shape, found.classes, found.full_scale) == (
            (6, 6, 1),
            (6, 6, 1),
            3,
            255,
        )
        assert len(found.y_train) == 30
        assert len(found.y_validation) == 6
        merged = found.training(hold_out=False)
        label_of = dict(zip(rows_of(x), y, strict=True))
        assert sorted(rows_of(merged.images)) == sorted(rows_of(x))
        assert [label_of[row] for row in rows_of(merged.images)] == merged.labels.tolist()
        np.testing.assert_array_equal(found.x_test, x_test.reshape(9, -1))
        np.testing.assert_array_equal(found.inputs(found.x_test) * np.float32(255), x_test.reshape(9, -1))
        assert (
            "36 training and 9 test images of 6 x 6 x 1; 3 classes; values 0 to 255 taken as 0 to 1"
            in found.note
        )

    def test_one_set_is_split_class_by_class_and_the_seed_is_said(self) -> None:
        x, y = images(60), alternating(60)
        found, other = Dataset.of(x, y), Dataset.of(x, y, seed=1)
        assert np.bincount(found.y_test).tolist() == [4, 4, 4]
        assert not set(rows_of(found.x_test)) & set(rows_of(found.training(False).images))
        assert "20 % of each class split off for the test, seed 0" in found.note
        assert set(rows_of(found.x_test)) != set(rows_of(other.x_test))
        assert len(Dataset.of(x, y, test=0.5).y_test) == 30

    def test_names_change_nothing_but_the_name(self) -> None:
        one, other = (Dataset.of(*four(), name=name) for name in ("one", "other"))
        assert one.digest == other.digest
        assert one.subset(20, 5).digest == other.subset(20, 5).digest
        assert one.note != other.note

    def test_digest_is_of_the_content(self) -> None:
        x, y, x_test, y_test = four()
        known = Dataset.of(x, y, x_test, y_test).digest
        assert Dataset.of(x, y, x_test, y_test).digest == known
        changed = x_test.copy()
        changed[3, 2, 1] ^= 1
        labels = y.copy()
        labels[:2] = labels[1::-1]
        wide = x.reshape(36, 4, 9), y, x_test.reshape(9, 4, 9), y_test
        others = [
            Dataset.of(x, y, changed, y_test), Dataset.of(x, labels, x_test, y_test), Dataset.of(*wide),
            Dataset.of(x, y, x_test[::-1], y_test), Dataset.of(x / 255, y, x_test / 255, y_test),
            Dataset.of(x, y, x_test, y_test).subset(20),
        ]  # fmt: skip
        assert len({known, *(other.digest for other in others)}) == len(others) + 1

    @pytest.mark.parametrize(
        ("change", "inputs", "words"),
        [
            (lambda x: x / 255.0, lambda x: x / 255, "values taken as they are, 0 to 1"),
            (lambda x: x.astype(float), lambda x: x / 255, "values 0 to 255 taken as 0 to 1"),
            (lambda x: x > 100, lambda x: x > 100, "values taken as they are, 0 to 1"),
            (lambda x: x.astype(int).tolist(), lambda x: x / 255, "values 0 to 255 taken as 0 to 1"),
        ],
        ids=["shares", "floats of bytes", "truth", "lists"],
    )
    def test_scales_that_are_seen(self, change: Any, inputs: Any, words: str) -> None:
        x, y, x_test, y_test = four()
        found = Dataset.of(change(x), y, change(x_test), y_test)
        assert words in found.note
        np.testing.assert_allclose(found.inputs(found.x_test), inputs(x_test).reshape(9, -1), rtol=1e-6)

    @pytest.mark.parametrize("options", [{}, {"scale": 255}, {"scale": "feature"}])
    def test_two_scales_are_refused(self, options: Any) -> None:
        x, y, x_test, y_test = four()
        for train, test, said in (
            (x, x_test / 255, "x_train goes to 255, x_test to"),
            (x / 255, x_test, "x_train goes to 1, x_test to"),
            (x.astype(float) + 0.25, x_test / 255, "x_train goes to 255.25"),
            (x.reshape(36, 36), x_test.reshape(9, 36) / 255, "x_train goes to 255"),
        ):
            with pytest.raises(DataError, match=f"{said}.*: bring both to one scale"):
                Dataset.of(train, y, test, y_test, **options)

    def test_features_and_truth_of_any_reach_are_one_scale(self) -> None:
        x, y, x_test, y_test = four()
        flat, flat_test = x.reshape(36, 36), x_test.reshape(9, 36)
        Dataset.of(flat / 100 + 0.001, y, flat_test / 300, y_test)
        Dataset.of(x, y, x_test // 255, y_test)
        Dataset.of(x / 200, y, x_test / 255, y_test, scale=1.275)

    def test_a_scale_that_is_told(self) -> None:
        x, y, x_test, y_test = four()
        deep, deep_test = x.astype(np.uint16) * 16, x_test.astype(np.uint16) * 16
        with pytest.raises(DataError, match=r"pixels from 0 to 4080; say which value is full scale"):
            Dataset.of(deep, y, deep_test, y_test)
        found = Dataset.of(deep, y, deep_test, y_test, scale=4095)
        np.testing.assert_allclose(found.inputs(found.x_test), deep_test.reshape(9, -1) / 4095, rtol=1e-6)
        with pytest.raises(DataError, match="on a scale of 0 to 4000"):
            Dataset.of(deep, y, deep_test, y_test, scale=4000)
        with pytest.raises(DataError, match="pixels from -128"):
            Dataset.of(x.astype(int) - 128, y, x_test.astype(int) - 128, y_test)

    def test_bytes_that_use_little_of_their_scale_are_warned_of(self) -> None:
        x, y, x_test, y_test = four()
        with pytest.warns(ScaleWarning, match="the largest is 15; say scale = 15"):
            faint = Dataset.of(x // 17, y, x_test // 17, y_test)
        told = Dataset.of(x // 17, y, x_test // 17, y_test, scale=15)
        assert told.inputs(told.x_test).max() == 1
        assert faint.inputs(faint.x_test).max() < 0.06

    def test_the_digits_of_scikit_learn_are_those_that_have_a_name(self) -> None:
        built_in = data.load("digits")
        train = built_in.training(hold_out=False)
        own = Dataset.of(
            train.images.astype(float).reshape(-1, 8, 8), train.labels, built_in.x_test.reshape(-1, 8, 8), built_in.y_test,
            scale=16,
        )  # fmt: skip
        assert (own.full_scale, own.x_train.dtype) == (16, np.uint8)
        np.testing.assert_array_equal(own.inputs(own.x_test), built_in.inputs(built_in.x_test))

    def test_features_are_scaled_by_the_training_set_and_what_is_beyond_is_counted(self) -> None:
        x = RNG(0).normal(5, 3, (40, 4))
        x[:, 2] = 7
        x_test = np.vstack([x[:9], [[100, x[0, 1], 7, -100]]])
        found = Dataset.of(x, alternating(40), x_test, alternating(10))
        low, high = x.min(axis=0), x.max(axis=0)
        inputs = found.inputs(found.x_test)
        varies = [0, 1, 3]
        np.testing.assert_allclose(inputs[:9][:, varies], ((x_test - low) / np.where(high > low, high - low, 1))[:9][:, varies], rtol=1e-5, atol=1e-6)  # fmt: skip
        assert (inputs[:, 2] == 0).all()
        assert (inputs[9, 0], inputs[9, 3]) == (1, 0)
        assert "each of 4 features scaled to 0 to 1 by its smallest and largest training value" in found.note
        assert "1 that never vary set to 0, 2 of 40 test values beyond clipped" in found.note

    def test_vectors_are_no_images_until_told(self) -> None:
        x, y, x_test, y_test = four(shape=(36,))
        vectors = Dataset.of(x, y, x_test, y_test)
        assert (vectors.shape, vectors.rows) == ((36,), 36)
        with pytest.raises(InputError, match="holds vectors of 36 numbers, and images are needed"):
            _ = vectors.image_shape
        told = Dataset.of(x, y, x_test, y_test, size=6)
        assert told.image_shape == (6, 6, 1)
        assert "vectors taken for images" in told.note
        assert Dataset.of(x, y, x_test, y_test, size=(2, 6, 3)).image_shape == (2, 6, 3)
        with pytest.raises(DataError, match="vectors of 36 numbers are no images of 5 x 5"):
            Dataset.of(x, y, x_test, y_test, size=5)

    def test_images_are_resized_only_when_asked(self) -> None:
        x, y, x_test, y_test = four(shape=(8, 12, 3))
        found = Dataset.of(x, y, x_test, y_test, size=4)
        assert found.image_shape == (4, 4, 3)
        assert "resized from 8 x 12, scaled to cover 4 x 4, the middle taken" in found.note
        middle = x_test[:, :, 2:10].reshape(9, 4, 2, 4, 2, 3).mean(axis=(2, 4))
        assert np.abs(found.x_test.reshape(9, 4, 4, 3) - middle).mean() < 20
        assert "resized" not in Dataset.of(x, y, x_test, y_test, size=(8, 12)).note

    def test_a_flat_image_stays_flat_whatever_its_size(self) -> None:
        for kind, value in ((np.uint8, 77), (np.float32, 0.25)):
            flat = np.full((2, 5, 9, 3), value, kind)
            np.testing.assert_allclose(resized(flat, (7, 3)), np.full((2, 7, 3, 3), value, kind), rtol=1e-6)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (lambda y: np.array(["cat", "dog", "owl"])[y], "3 classes (cat, dog, owl)"),
            (lambda y: y + 1, "3 classes (1, 2, 3)"),
            (lambda y: np.eye(3)[y], "labels from one-hot rows; 3 classes"),
            (lambda y: y[:, None].astype(float), "3 classes"),
        ],
        ids=["text", "from one", "one-hot", "column"],
    )
    def test_labels(self, labels: Any, words: str) -> None:
        x, y, x_test, y_test = four()
        found = Dataset.of(x, labels(y), x_test, labels(y_test))
        np.testing.assert_array_equal(found.y_test, y_test)
        assert words in found.note

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"y_train": alternating(35)}, "36 samples in x_train, but 35 labels"),
            ({"y_train": np.zeros(36, int)}, "all labels are 0"),
            ({"y_train": np.arange(36)}, "36 different labels of 36 samples are no classes"),
            ({"y_train": alternating(36) + 0.5}, "0.5 among the labels is no class"),
            ({"y_train": [None] * 36}, "None among the labels"),
            ({"y_test": alternating(9) + 1}, "3 labels of y_test, such as 3, are in no training sample"),
            ({"y_test": None}, "y_test is missing"),
            ({"x_test": images(9, (5, 6))}, "samples differ in shape: train 6 x 6 and test 5 x 6"),
            ({"x_train": np.full((36, 6, 6), np.nan)}, "NaN or infinite, the first in sample 0"),
            ({"x_train": np.full((36, 6, 6), "a")}, "expected numbers"),
            ({"x_train": np.zeros(36)}, "expected images"),
            ({"x_train": images(36, (3, 6, 6)), "x_test": images(9, (3, 6, 6))}, "channels first; give x.transpose"),
            ({"seed": 1}, "it has a test set of its own; leave out test and seed"),
        ],
        ids=str,
    )  # fmt: skip
    def test_what_does_not_fit_is_refused(self, change: dict[str, Any], words: str) -> None:
        given = dict(zip(("x_train", "y_train", "x_test", "y_test"), four(), strict=True))
        with pytest.raises(DataError, match=words.replace("(", r"\(")) as caught:
            Dataset.of(**{**given, **change})
        assert "\n" not in str(caught.value)

    def test_options_are_checked(self) -> None:
        with pytest.raises(ConfigError, match="did you mean 'size'"):
            Dataset.of(*four(), sise=3)
        with pytest.raises(DataError, match="a share between 0 and 1"):
            Dataset.of(images(60), alternating(60), test=2.0)


class TestArchives:
    @pytest.fixture
    def archive(self, tmp_path: Path) -> Path:
        np.savez(
            tmp_path / "mine.npz",
            **dict(zip(("x_train", "y_train", "x_test", "y_test"), four(), strict=True)),
        )
        return tmp_path / "mine.npz"

    def test_it_is_the_data_set_of_its_arrays(self, archive: Path) -> None:
        found = data.load(archive)
        assert found.digest == Dataset.of(*four()).digest == data.load(str(archive)).digest
        assert (found.name, found.note.split(" (")[0]) == ("mine.npz", "mine.npz")
        assert f"SHA-256 {found.digest[:12]}" in found.note
        assert str(archive.parent) not in found.note

    def test_options_behind_the_path_and_in_a_table(self, archive: Path) -> None:
        short, long = data.load(f"{archive}?size=3"), data.load({"path": str(archive), "size": 3})
        assert short.digest == long.digest == data.load(Source(path=str(archive), size=3)).digest
        assert short.image_shape == (3, 3, 1)
        assert data.load(f"{archive}?size=[3,6]").image_shape == (3, 6, 1)

    def test_one_set_and_what_is_not_used(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "m.npz", X=images(60), y=alternating(60), weights=np.ones(3))
        found = data.load(tmp_path / "m.npz")
        assert found.digest == Dataset.of(images(60), alternating(60)).digest
        assert "not used: weights" in found.note

    def test_the_test_set_may_be_a_file(self, tmp_path: Path, archive: Path) -> None:
        x, y, x_test, y_test = four()
        np.savez(tmp_path / "a.npz", x=x, y=y)
        np.savez(tmp_path / "b.npz", x=x_test, y=y_test)
        found = data.load({"path": str(tmp_path / "a.npz"), "test": str(tmp_path / "b.npz")})
        assert found.digest == data.load(archive).digest
        assert "test set from b.npz" in found.note
        with pytest.raises(DataError, match="expected samples and labels like those of"):
            data.load({"path": str(tmp_path / "a.npz"), "test": str(archive)})
        assert "leave out test" in said(DataError, {"path": str(archive), "test": str(tmp_path / "b.npz")})

    def test_what_is_wrong_is_named(self, tmp_path: Path, archive: Path) -> None:
        np.savez(tmp_path / "a.npz", x_train=images(36), y_train=alternating(36))
        np.savez(tmp_path / "b.npz", pixels=images(36))
        (tmp_path / "c.npz").write_bytes(archive.read_bytes()[:50])
        np.savez(tmp_path / "d.npz", x=np.array([{}] * 36), y=alternating(36))
        (tmp_path / "e.zip").write_text("")
        assert "lacks x_test, y_test beside x_train" in said(DataError, tmp_path / "a.npz")
        assert "or x and y; found pixels" in said(DataError, tmp_path / "b.npz")
        assert "damaged or not an npz archive" in said(DataError, tmp_path / "c.npz")
        assert "Object arrays cannot be loaded" in said(DataError, tmp_path / "d.npz")
        assert "give a folder with a folder of images for each class" in said(DataError, tmp_path / "e.zip")
        assert f"no such file or folder ({tmp_path / 'f.npz'})" in said(DataError, tmp_path / "f.npz")
        assert "label names a column of a table" in said(DataError, {"path": str(archive), "label": "y"})
        assert "did you mean 'size'" in said(ConfigError, f"{archive}?siz=3")


class TestTables:
    @pytest.fixture(autouse=True)
    def _pandas(self) -> None:
        pytest.importorskip("pandas")

    def write(self, path: Path, lines: list[list[Any]], header: list[str] | None) -> Path:
        text = [",".join(map(str, line)) for line in ([header] if header else []) + lines]
        path.write_text("\n".join(text) + "\n")
        return path

    def iris(self, n: int = 60) -> list[list[Any]]:
        return [
            [f"{a:.3f}", f"{b:.3f}", "abc"[k % 3]] for k, (a, b) in enumerate(RNG(0).normal(5, 2, (n, 2)))
        ]

    def test_features_and_the_column_of_labels(self, tmp_path: Path) -> None:
        lines = self.iris()
        found = data.load(self.write(tmp_path / "iris.csv", lines, ["length", "width", "class"]))
        x = np.array([[float(a), float(b)] for a, b, _ in lines])
        assert found.digest == Dataset.of(x, [name for *_, name in lines]).digest
        assert "labels from column 'class'" in found.note
        assert "each of 2 features scaled" in found.note
        assert "3 classes (a, b, c)" in found.note

    @pytest.mark.parametrize(
        ("header", "options", "words"),
        [
            (["length", "width", "species"], "", "labels from the last column, 'species', for none is called label, class or y"),
            (["length", "width", "Label"], "", "labels from column 'Label'"),
            (["length", "width", "kind"], "?label=kind", "labels from column 'kind'"),
            (["length", "width", "kind"], "?label=2", "labels from column 'kind'"),
            (["length", "width", "kind"], "?label=-1", "labels from column 'kind'"),
            (None, "", "labels from the last column, '2'"),
        ],
        ids=str,
    )  # fmt: skip
    def test_which_column_is_said(
        self, tmp_path: Path, header: list[str] | None, options: str, words: str
    ) -> None:
        path = self.write(tmp_path / "iris.csv", self.iris(), header)
        found = data.load(f"{path}{options}")
        assert words in found.note
        assert found.shape == (2,)

    def test_pixels_are_seen_by_their_largest(self, tmp_path: Path) -> None:
        x, y = images(60).reshape(60, -1), alternating(60)
        lines = [[label, *pixels] for pixels, label in zip(x.tolist(), y.tolist(), strict=True)]
        path = self.write(tmp_path / "m.csv", lines, ["label", *(f"p{k}" for k in range(36))])
        found = data.load(f"{path}?size=6")
        assert found.digest == Dataset.of(images(60), y).digest
        assert "values 0 to 255 taken as 0 to 1" in found.note

    def test_without_names_no_sample_is_lost_and_counters_are_no_features(self, tmp_path: Path) -> None:
        import pandas

        lines = [[1.5 + k % 7, 1.5, 2.5 + k % 3, k % 3] for k in range(60)]
        found = data.load(self.write(tmp_path / "plain.csv", lines, None))
        assert "48 training and 12 test vectors of 3 numbers; no line of column names" in found.note
        pandas.DataFrame(lines).to_csv(tmp_path / "indexed.csv")
        indexed = data.load(tmp_path / "indexed.csv")
        assert indexed.digest == found.digest
        assert "first column left out: it counts the lines" in indexed.note
        pandas.DataFrame(lines).to_csv(tmp_path / "counted.csv", index=False)
        assert data.load(tmp_path / "counted.csv").digest == found.digest

    @pytest.mark.parametrize(
        ("lines", "header", "words"),
        [
            ([[1, 2], [3]], ["a", "b"], "1 values are missing|labels are missing"),
            ([["", 1, 0], *[[k, k, k % 3] for k in range(30)]], ["a", "b", "y"], "1 values are missing, the first of column 'a' in sample 1"),
            ([["x", 1, 0], *[[k, k, k % 3] for k in range(30)]], ["a", "b", "y"], "column 'a' holds 'x', no numbers"),
            ([[k, k, k / 7] for k in range(30)], ["a", "b", "y"], "among the labels is no class"),
            ([[k, k] for k in range(30)], ["a", "b"], "30 different labels of 30 samples are no classes"),
            ([], ["a", "b"], "0 lines of 2 columns"),
        ],
        ids=range(6),
    )  # fmt: skip
    def test_what_is_wrong_is_named(
        self, tmp_path: Path, lines: list[Any], header: list[str], words: str
    ) -> None:
        path = self.write(tmp_path / "bad.csv", lines, header)
        with pytest.raises(DataError, match=words):
            data.load(path)

    def test_a_column_that_is_not_there(self, tmp_path: Path) -> None:
        path = self.write(tmp_path / "iris.csv", self.iris(), ["length", "width", "species"])
        assert "did you mean 'species'" in said(DataError, f"{path}?label=specie")
        assert "it has 3 columns" in said(DataError, f"{path}?label=7")


class TestFolders:
    def test_a_folder_for_each_class_is_split(self, tmp_path: Path) -> None:
        found = data.load(flowers(tmp_path / "flowers"))
        x = np.concatenate([images(12, seed=k) for k in range(3)])
        assert found.digest == Dataset.of(x, np.repeat(["aster", "lily", "rose"], 12)).digest
        assert found.image_shape == (6, 6, 1)
        assert found.note.startswith(
            "flowers (29 training and 7 test images of 6 x 6 x 1; 3 classes (aster, lily, rose); "
        )

    @pytest.mark.parametrize("test", ["test", "val"])
    def test_train_and_test(self, tmp_path: Path, test: str) -> None:
        flowers(tmp_path, parts=("train", test, "extra"), mode="RGB")
        found = data.load(tmp_path)
        x, x_test = (
            np.concatenate([images(12, (6, 6, 3), 10 * part + k) for k in range(3)]) for part in (0, 1)
        )
        names = np.repeat(["aster", "lily", "rose"], 12)
        assert found.digest == Dataset.of(x, names, x_test, names).digest
        assert f"test set from folder {test}; not used: extra" in found.note

    def test_other_sizes_are_refused_with_what_to_write(self, tmp_path: Path) -> None:
        flowers(tmp_path / "f")
        Image.fromarray(images(1, (8, 10))[0]).save(tmp_path / "f" / "lily" / "zz.png")
        message = said(DataError, tmp_path / "f")
        assert "6 x 6 (aster/000.png) and 8 x 10 (lily/zz.png), 2 sizes in all" in message
        assert f"write '{tmp_path / 'f'}?size=6'" in message
        found = data.load(f"{tmp_path / 'f'}?size=7")
        assert found.image_shape == (7, 7, 1)
        assert (
            "37 images resized, scaled to cover 7 x 7, the middle taken (36 of them enlarged)" in found.note
        )

    def test_what_is_done_to_images_is_counted(self, tmp_path: Path) -> None:
        folder = flowers(tmp_path / "f", mode="RGB")
        rng = RNG(5)
        for k in range(3):
            grey = rng.integers(0, 256, (6, 6), dtype=np.uint8)
            Image.fromarray(grey).save(folder / "aster" / f"grey{k}.png")
        clear = rng.integers(0, 256, (6, 6, 4), dtype=np.uint8)
        Image.fromarray(clear, "RGBA").save(folder / "lily" / "zz.png")
        Image.new("CMYK", (6, 6), (0, 255, 0, 0)).save(folder / "rose" / "ink.jpg")
        tagged = Image.new("RGB", (6, 6), (9, 99, 199))
        tagged.save(folder / "rose" / "turned.jpg", exif=_turned())
        (folder / "rose" / "notes.txt").write_text("")
        (folder / "rose" / ".hidden").write_text("")
        found = data.load(folder)
        for words in (
            "1 files that are no images passed over", "3 grey images turned into three channels",
            "1 images whose alpha channel was dropped", "1 CMYK images turned into RGB",
            "1 images left as they lie, though a tag says that the camera was turned",
        ):  # fmt: skip
            assert words in found.note
        every = rows_of(found.training(False).images, found.x_test)
        assert clear[..., :3].tobytes() in every
        assert np.repeat(grey, 3).tobytes() in every
        assert "grey" not in data.load(flowers(tmp_path / "plain")).note

    def test_deep_and_damaged_images_are_refused(self, tmp_path: Path) -> None:
        for name, pixels in (("deep", images(1, (6, 6))[0].astype(np.uint16) * 257),):
            folder = flowers(tmp_path / name)
            Image.fromarray(pixels).save(folder / "lily" / "zz.png")
            assert "lily/zz.png has more than 8 bits a pixel" in said(DataError, folder)
        folder = flowers(tmp_path / "damaged")
        whole = (folder / "lily" / "000.png").read_bytes()
        (folder / "lily" / "000.png").write_bytes(whole[:40])
        assert "000.png: damaged image" in said(DataError, folder)
        frames = [Image.new("L", (6, 6), k) for k in (0, 200)]
        frames[0].save(folder / "lily" / "000.png", format="TIFF", save_all=True, append_images=frames[1:])
        assert "holds several images" in said(DataError, folder)

    def test_folders_that_are_none(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        assert "it takes a folder for each class" in said(DataError, tmp_path / "empty")
        flowers(tmp_path / "deep" / "aster")
        assert "holds a folder" in said(DataError, tmp_path / "deep")
        (tmp_path / "none" / "aster").mkdir(parents=True)
        assert "holds no images" in said(DataError, tmp_path / "none")

    def test_large_ones_stay_on_disk_with_the_same_pixels(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = flowers(tmp_path / "f")
        held = data.load(folder)
        monkeypatch.setattr(folders_of_images, "IN_MEMORY", 100)
        stored = data.load(folder)
        assert isinstance(stored.x_train, OnDisk)
        for part in ("x_train", "x_validation", "x_test"):
            np.testing.assert_array_equal(np.asarray(getattr(stored, part)), getattr(held, part))
        known = stored.digest
        assert data.load(folder).digest == known
        Image.fromarray(images(1, seed=99)[0]).save(folder / "lily" / "003.png")
        assert data.load(folder).digest != known


class TestDoors:
    def test_a_file_of_python_and_an_object(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        text = (
            "import numpy as np\nfrom neurosim.data import Dataset\n"
            "def load():\n"
            "    x = np.arange(60 * 4).reshape(60, 4) % 256\n"
            "    x[0, 0] = 255\n"
            "    return Dataset.of(x, np.arange(60) % 3, name='counted')\n"
            "ready = load()\n"
            "def wrong(): return 3\n"
        )
        (tmp_path / "my.py").write_text(text)
        (tmp_path / "my_package_of_data.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        found = data.load("my.py:load")
        assert found.note.startswith("counted (48 training")
        for given in ("my.py:ready", "my_package_of_data:load", found, tmp_path / "my.py:load"):
            assert data.load(given).digest == found.digest
        assert data.load(found) is found
        assert "it returns int" in said(ConfigError, "my.py:wrong")
        assert "did you mean 'load'" in said(UnknownNameError, "my.py:loud")
        assert "say which data set of it, my.py:load or my.py:ready" in said(ConfigError, "my.py")
        assert "No such file" in said(ConfigError, "mine.py:load")
        assert "cannot import no_such_package" in said(ConfigError, "no_such_package:load")
        assert "this is none: expected a name" in said(ConfigError, "my.py:np")

    def test_names_come_first_and_wrong_ones_are_guessed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        flowers(tmp_path / "digits")
        assert data.load("digits").note == "digits of scikit-learn"
        assert data.load("./digits").classes == 3
        assert "did you mean 'digits'" in said(UnknownNameError, "digit")
        assert "options go behind a path, such as ./mnist" in said(ConfigError, "mnist?size=3")
        assert "no such file or folder" in said(DataError, "nowhere/digits")
        assert "Dataset.of(x_train" in said(InputError, np.zeros(3))

    def test_experiments_take_them_and_write_down_what_they_took(self, tmp_path: Path) -> None:
        from neurosim import DenseExperiment

        own = Dataset.of(*four(), name="mine")
        for given, kept in (
            (own, f"mine ({own.digest[:16]})"),
            (tmp_path / "a.npz", str(tmp_path / "a.npz")),
            ({"path": "a.npz", "size": 3}, {"path": "a.npz", "size": 3, "scale": None, "test": None, "seed": 0, "label": None}),
        ):  # fmt: skip
            spec = DenseExperiment.parse({"dataset": given}, "test")
            assert json.loads(spec.model_dump_json())["dataset"] == kept
            assert json.loads(spec.changed(seeds=3).model_dump_json())["dataset"] == kept
        assert data.load(DenseExperiment(dataset=own).changed(seeds=2).dataset) is own
        with pytest.raises(ConfigError, match="did you mean 'size'"):
            DenseExperiment.parse({"dataset": {"path": "a.npz", "sise": 3}}, "test")
        with pytest.raises(ConfigError, match="expected a name, a path"):
            DenseExperiment.parse({"dataset": 3}, "test")


def _turned() -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = 6
    return found
