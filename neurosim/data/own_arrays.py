"""From arrays of one's own to a data set: labels become class numbers, values inputs from 0 to 1; all that is assumed is said."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from neurosim.core.checks import numbers
from neurosim.core.errors import DataError, InputError
from neurosim.core.frozen import Frozen
from neurosim.data.dataset import Dataset, Labelled, Labels, Shape, split_by_class
from neurosim.data.on_disk import OnDisk
from neurosim.data.resize import resized
from neurosim.data.taken import PIXEL, Scale, ScaleWarning, Taken

LEAST = 12
"""Training samples without which nothing can be held out and learnt from."""
SHOWN = 12
"""Classes whose names are listed in the note."""
TEST = 0.2
"""Share that becomes the test set where there is none."""


Size = int | tuple[int, int] | tuple[int, int, int]


class Reading(Frozen):
    """How arrays, or what files hold, are taken; what is left out is seen from the values, and said in the note."""

    size: Size | None = None
    """Side of square images, (height, width) or (height, width, channels). Images of another size are scaled to cover
    it, and the middle is taken; vectors are taken for images of that shape."""
    scale: float | Literal["feature"] | None = None
    """Value that becomes 1; or "feature": each feature goes from 0 to 1 between its smallest and largest training
    value. None: 255 for bytes and for whole numbers that end there, 1 for values from 0 to 1, for other vectors
    "feature"; other images are refused."""
    test: float | str | None = None
    """Share of the samples that becomes the test set (default 0.2), or the file that holds it."""
    seed: int = Field(0, ge=0)
    """Of the choice of test samples; each class gives the same share."""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """(height, width) or (height, width, channels) that was asked for."""
        if self.size is None:
            return None
        return (self.size, self.size) if isinstance(self.size, int) else self.size


@dataclass
class Found:
    """What is there before it is taken for anything: samples with their labels, and what was noticed on the way.

    Attributes
    ----------
    train, test : (samples, labels)
        Arrays; samples may be `OnDisk`, then with `shape`. No test set: None.
    notes : list of str
    shape : (int, int, int), optional
        Height, width and channels of flattened images.
    """

    train: tuple[Any, Any]
    test: tuple[Any, Any] | None = None
    notes: list[str] = field(default_factory=list)
    shape: Shape | None = None


def data_set_of(found: Found, how: Reading, name: str) -> Dataset:
    """Return a data set of what was found.

    Raises
    ------
    DataError
        If samples and labels do not fit each other, or values cannot be taken for inputs without being told how.
    """
    notes: list[str] = []
    parts = {"train": found.train, **({"test": found.test} if found.test is not None else {})}
    samples = {part: checked_samples(x, f"{name}: x_{part}") for part, (x, _) in parts.items()}
    raw = {part: _labels(y, f"{name}: y_{part}", notes) for part, (_, y) in parts.items()}
    for part, x in samples.items():
        if len(x) != len(raw[part]):
            raise DataError(f"{name}: {len(x)} samples in x_{part}, but {len(raw[part])} labels in y_{part}")
    labels, classes = _numbered(raw, name, notes)
    sample = None if found.shape is not None else samples["train"].shape[1:]
    shape, samples = _shaped(samples, found.shape, how, name, notes)
    if "test" not in samples:
        samples, labels = _split(samples["train"], labels["train"], how, name, notes)
    elif how.model_fields_set & {"test", "seed"}:
        raise DataError(f"{name}: it has a test set of its own; leave out test and seed")
    if len(labels["train"]) < LEAST or not len(labels["test"]):
        raise DataError(
            f"{name}: {len(labels['train'])} training and {len(labels['test'])} test samples; it takes at least "
            f"{LEAST} and 1"
        )
    _refuse_two_scales(samples, len(shape) == 3, name)
    scale = _scale_of(samples, len(shape) == 3, how, name, notes)
    samples = {part: scale.rows(x) for part, x in samples.items()}
    extents = " x ".join(map(str, shape)) if len(shape) == 3 else f"{shape[0]} numbers"
    counts = f"{len(labels['train']):,} training and {len(labels['test']):,} test {_kind(shape)} of {extents}"
    data = Dataset.from_arrays(
        name, "", shape, classes, scale.full_scale,
        Labelled(samples["train"], labels["train"]), Labelled(samples["test"], labels["test"]),
        order="own data",
    )  # fmt: skip
    said = "; ".join([counts, *found.notes, *notes, f"SHA-256 {data.digest[:12]}"])
    size = None if how.shape is None or len(sample or ()) < 2 else how.shape[:2]
    taken = None if sample is None else Taken(sample, None if size is None else (size[0], size[1]), scale)
    return replace(data, note=f"{name} ({said})", taken=taken)


def _kind(shape: tuple[int, ...]) -> str:
    return "images" if len(shape) == 3 else "vectors"


def checked_samples(x: Any, what: str) -> Any:
    """Return samples as an array; raises `DataError` unless they are finite numbers, one sample a row."""
    if isinstance(x, OnDisk):
        return x
    try:
        values = numbers(what, x)
    except InputError as error:
        raise DataError(str(error)) from None
    if values.ndim not in (2, 3, 4) or 0 in values.shape:
        raise DataError(
            f"{what}: expected images (n, height, width[, channels]) or vectors (n, numbers), got {values.shape}"
        )
    if values.dtype.kind == "O":
        values = values.astype(np.float64)
    if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
        bad = np.argwhere(~finite)
        raise DataError(
            f"{what}: {len(bad):,} of {values.size:,} values are NaN or infinite, the first in sample {bad[0][0]}; "
            "fill them in or leave these samples out"
        )
    return values


def _labels(y: Any, what: str, notes: list[str]) -> NDArray[Any]:
    """Return labels (n,) as whole numbers or text."""
    if y is None:
        raise DataError(f"{what} is missing; give one label a sample")
    values = np.asarray(y)
    if values.dtype.kind == "O":
        if not all(isinstance(each, str) for each in values.flat):
            odd = next(each for each in values.flat if not isinstance(each, str))
            raise DataError(f"{what}: {odd!r} among the labels; give numbers or text, without gaps")
        values = values.astype(str)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and _is_one_hot(values):
        said = "labels from one-hot rows"
        notes += [] if said in notes else [said]
        values = values.argmax(axis=1)
    if values.ndim != 1 or values.dtype.kind not in "biufU":
        raise DataError(f"{what}: expected one label a sample, got {values.dtype} {values.shape}")
    if values.dtype.kind == "f":
        if not (values == np.round(values)).all():
            odd = values[values != np.round(values)][0]
            raise DataError(
                f"{what}: {odd:g} among the labels is no class; classes are whole numbers or text"
            )
        values = values.astype(np.int64)
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _is_one_hot(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "biuf" and bool(
        ((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all()
    )


def _numbered(raw: dict[str, NDArray[Any]], name: str, notes: list[str]) -> tuple[dict[str, Labels], int]:
    """Number the classes of the training set in their order."""
    known = np.unique(raw["train"])
    if len(known) < 2:
        raise DataError(
            f"{name}: all labels are {known[0] if len(known) else 'missing'}; it takes two classes or more"
        )
    if 2 * len(known) > len(raw["train"]):
        raise DataError(
            f"{name}: {len(known):,} different labels of {len(raw['train']):,} samples are no classes; are these the labels?"
        )
    for part, given in raw.items():
        odd = ~np.isin(given, known)
        if odd.any():
            raise DataError(
                f"{name}: {odd.sum():,} labels of y_{part}, such as {given[odd][0]}, are in no training sample"
            )
    consecutive = known.dtype.kind in "iu" and known[0] == 0 and known[-1] == len(known) - 1
    listed = "" if consecutive or len(known) > SHOWN else f" ({', '.join(map(str, known))})"
    notes.append(f"{len(known)} classes{listed}")
    return {part: np.searchsorted(known, given).astype(np.int64) for part, given in raw.items()}, len(known)


def _shaped(
    samples: dict[str, Any], shape: Shape | None, how: Reading, name: str, notes: list[str]
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Flatten samples; return the shape that one has."""
    if shape is not None:
        return shape, samples
    shapes = {part: x.shape[1:] for part, x in samples.items()}
    if len(set(shapes.values())) > 1:
        both = " and ".join(f"{part} {' x '.join(map(str, one))}" for part, one in shapes.items())
        raise DataError(f"{name}: samples differ in shape: {both}")
    own = shapes["train"]
    if len(own) > 1:
        return _images(samples, own, how.shape, name, notes)
    return (own if how.shape is None else _as_image(own[0], how.shape, name, notes)), samples


def _as_image(rows: int, wanted: tuple[int, ...], name: str, notes: list[str]) -> tuple[int, ...]:
    """Return the shape of the images that vectors are said to be."""
    pixels = math.prod(wanted[:2])
    whole = wanted if len(wanted) == 3 else (*wanted, rows // pixels)
    if math.prod(whole) != rows:
        raise DataError(
            f"{name}: vectors of {rows} numbers are no images of {' x '.join(map(str, wanted))}; size says how a vector is "
            "an image, and vectors are not resized"
        )
    notes.append("vectors taken for images, row by row")
    return whole


def _images(
    samples: dict[str, Any], own: tuple[int, ...], wanted: tuple[int, ...] | None, name: str, notes: list[str]
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Flatten images, of another size where that was asked for."""
    height, width, channels = own if len(own) == 3 else (*own, 1)
    if channels > 4 and height in (1, 3):
        raise DataError(
            f"{name}: images of {' x '.join(map(str, own))} have their channels first; give x.transpose(0, 2, 3, 1)"
        )
    if wanted is not None and wanted[2:] not in ((), (channels,)):
        raise DataError(f"{name}: images of {channels} channels; size = {list(wanted)} asks for {wanted[2]}")
    if wanted is not None and wanted[:2] != (height, width):
        high, wide = wanted[:2]
        samples = {
            part: resized(x.reshape(*x.shape[:3], channels), (high, wide)) for part, x in samples.items()
        }
        notes.append(f"resized from {height} x {width}, scaled to cover {high} x {wide}, the middle taken")
        height, width = high, wide
    return (height, width, channels), {part: x.reshape(len(x), -1) for part, x in samples.items()}


def _split(
    x: Any, labels: Labels, how: Reading, name: str, notes: list[str]
) -> tuple[dict[str, Any], dict[str, Labels]]:
    """Split off a test set."""
    share = TEST if how.test is None else how.test
    if isinstance(share, str) or not 0 < share < 1:
        raise DataError(f"{name}: test = {share!r}: give a share between 0 and 1")
    train, test = split_by_class(labels, round(share * len(labels)), f"own data, test, {how.seed}")
    lost = len(np.unique(labels)) - len(np.unique(labels[train]))
    if lost:
        raise DataError(
            f"{name}: {lost} classes have too few samples to be learnt and tested; leave them out"
        )
    notes.append(f"{100 * share:g} % of each class split off for the test, seed {how.seed}")
    return {"train": x[train], "test": x[test]}, {"train": labels[train], "test": labels[test]}


def _refuse_two_scales(samples: dict[str, Any], images: bool, name: str) -> None:
    """Refuse fractions from 0 to 1 in one part, and in the other pixels or whole numbers that go far beyond."""
    if any(isinstance(x, OnDisk) for x in samples.values()):
        return
    ends = {part: float(x.max()) for part, x in samples.items()}
    (small, _), (large, most) = sorted(ends.items(), key=lambda end: end[1])
    if ends[small] > 1 or most < 2 or _whole(samples[small]):
        return
    if images or _whole(samples[large]):
        raise DataError(
            f"{name}: x_train goes to {ends['train']:g}, x_test to {ends['test']:g}: bring both to one scale"
        )


def _whole(x: Any) -> bool:
    return x.dtype.kind in "biu" or bool((x == np.round(x)).all())


def _scale_of(samples: dict[str, Any], images: bool, how: Reading, name: str, notes: list[str]) -> Scale:
    """Return what brings values to 0 ... 1; refuses where that is not clear."""
    train, scale = samples["train"], how.scale
    if isinstance(train, OnDisk):
        if scale not in (None, PIXEL):
            raise DataError(f"{name}: scale = {scale}: pixels of files go from 0 to {PIXEL}; leave it out")
        notes.append(f"values 0 to {PIXEL} taken as 0 to 1")
        return Scale(PIXEL, whole=True)
    if scale == "feature":
        return _by_feature(samples, notes)
    lowest = min(float(x.min()) for x in samples.values())
    highest = max(float(x.max()) for x in samples.values())
    is_whole = all(map(_whole, samples.values()))
    if scale is None:
        if train.dtype == np.uint8:
            scale = PIXEL
            if 2 * highest < PIXEL:
                warnings.warn(
                    f"{name}: bytes are taken as 0 to {PIXEL}, but the largest is {highest:g}; say scale = {highest:g} if "
                    "that is full scale",
                    ScaleWarning,
                    stacklevel=2,
                )
        elif lowest >= 0 and highest <= 1:
            scale = 1
        elif is_whole and lowest >= 0 and highest == PIXEL:
            scale = PIXEL
        elif not images:
            return _by_feature(samples, notes)
        else:
            raise DataError(
                f"{name}: pixels from {lowest:g} to {highest:g}; say which value is full scale, such as "
                f"scale = {highest:g}, or give values from 0 to 1"
            )
    if lowest < 0 or highest > scale:
        raise DataError(
            f"{name}: values from {lowest:g} to {highest:g} on a scale of 0 to {scale:g}; give another scale, or "
            'scale = "feature"'
        )
    notes.append(
        f"values 0 to {scale:g} taken as 0 to 1" if scale != 1 else "values taken as they are, 0 to 1"
    )
    return Scale(scale, whole=is_whole and scale == int(scale) and scale <= PIXEL)


def _by_feature(samples: dict[str, Any], notes: list[str]) -> Scale:
    """Bring each feature to 0 ... 1 by its smallest and largest training value."""
    train = samples["train"].astype(np.float64)
    low, high = train.min(axis=0), train.max(axis=0)
    scale, still = Scale(low=low, high=high), int((low == high).sum())
    said = f"each of {train.shape[1]:,} features scaled to 0 to 1 by its smallest and largest training value"
    beyond = scale.beyond(samples["test"])
    if still:
        said += f", {still} that never vary set to 0"
    if beyond:
        said += f", {beyond:,} of {samples['test'].size:,} test values beyond clipped"
    notes.append(said)
    return scale
