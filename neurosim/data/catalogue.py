"""The data sets that `load` knows, and the forms in which their files are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from neurosim.data import cifar, digits, folders_of_images, idx, stl
from neurosim.data.archive import read_npz
from neurosim.data.dataset import Labelled, Parts, Shape, labelled
from neurosim.data.locate import SUBFOLDERS, places

CLASSES = 10
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Form:
    """One form in which files hold a data set.

    Attributes
    ----------
    files : str
        File names, for the message that nothing was found.
    note : str
        What the images then are.
    read : callable
        Returns training and test set from a folder, and what else it holds, or None if not this form.
    """

    files: str
    note: str
    read: Callable[[Path], tuple[Labelled, Labelled] | Parts | None]


@dataclass(frozen=True)
class Published:
    """A data set as its authors published it.

    Attributes
    ----------
    title : str
        Name in print.
    image_shape : tuple of int
        (height, width, channels).
    train, test : int
        Number of images.
    tiers : tuple of tuples of Form
        Forms of equal content share a tier; a later tier is read only if no folder holds an earlier one.
        Empty for a data set that needs no files.
    remedies : tuple of str
        Ways to get the files besides NEUROSIM_DATA.
    full_scale : int
        Pixel value that becomes 1.0.
    classes, unlabelled : int
        Number of classes, and of images without labels.
    """

    title: str
    image_shape: Shape
    train: int
    test: int
    tiers: tuple[tuple[Form, ...], ...] = ()
    remedies: tuple[str, ...] = ()
    full_scale: int = 255
    classes: int = CLASSES
    unlabelled: int = 0


def _npz(name: str, note: str, image_shape: Shape, *files: str) -> Form:
    def read(folder: Path) -> tuple[Labelled, Labelled] | None:
        for path in (place / file for place in places(name, folder) for file in files):
            if path.is_file():
                x_train, y_train, x_test, y_test = read_npz(path, ARRAYS).values()
                return (
                    labelled(x_train, y_train, image_shape, CLASSES, f"{path}: x_train, y_train"),
                    labelled(x_test, y_test, image_shape, CLASSES, f"{path}: x_test, y_test"),
                )
        return None

    return Form(" or ".join(files), note, read)


def _binary(version: cifar.Version, title: str) -> Form:
    return Form(f"{version.folder}/ or {version.archive}", title, partial(cifar.read_binary, version))


def _mnist_like(name: str, title: str, npz_files: tuple[str, ...], *remedies: str) -> Published:
    shape = (28, 28, 1)
    idx_files = "four idx files such as train-images-idx3-ubyte[.gz]"
    if name != "mnist":
        idx_files += f" in a sub-folder {name}"
    forms = (
        _npz(name, title, shape, *npz_files),
        Form(idx_files, title, lambda folder: idx.read_folder(name, folder, shape, CLASSES)),
    )
    return Published(title, shape, 60_000, 10_000, (forms,), remedies)


def _folders(name: str, title: str, classes: int, train: int, test: int, origin: str) -> Published:
    shape = folders_of_images.IMAGE_SHAPE
    files = f"train/<class>/*.JPEG and val/<class>/*.JPEG in a folder {' or '.join(SUBFOLDERS[name])}"
    form = Form(
        files, f"{title} at {shape[0]} pixels", lambda folder: folders_of_images.read_folder(name, folder)
    )
    return Published(title, shape, train, test, ((form,),), (origin,), classes=classes)


CATALOGUE = {
    "digits": Published("digits of scikit-learn", digits.IMAGE_SHAPE, 1500, digits.TEST, full_scale=16),
    "mnist": _mnist_like("mnist", "MNIST", ("mnist.npz",), "call neurosim.data.download('mnist')"),
    "fashion-mnist": _mnist_like(
        "fashion-mnist",
        "Fashion-MNIST",
        ("fashion-mnist.npz", "fashion_mnist.npz"),
        "apt-get install dataset-fashion-mnist",
        "call neurosim.data.download('fashion-mnist')",
    ),
    "cifar10": Published(
        "CIFAR-10",
        cifar.IMAGE_SHAPE,
        50_000,
        10_000,
        (
            (_binary(cifar.CIFAR10, "CIFAR-10"),),
            (Form(cifar.JPEG_CONTAINER, "CIFAR-10 (JPEG q75)", cifar.read_jpeg),),
            (_npz("cifar10", "CIFAR-10 (JPEG q75)", cifar.IMAGE_SHAPE, "cifar10.npz"),),
        ),
        ("call neurosim.data.download('cifar10')",),
    ),
    "cifar100": Published(
        "CIFAR-100",
        cifar.IMAGE_SHAPE,
        50_000,
        10_000,
        ((_binary(cifar.CIFAR100, "CIFAR-100"),),),
        ("call neurosim.data.download('cifar100')",),
        classes=cifar.CIFAR100.classes,
    ),
    "stl10": Published(
        "STL-10",
        stl.IMAGE_SHAPE,
        5000,
        8000,
        ((Form(f"{stl.FOLDER}/ with train_X.bin and its other files", "STL-10", stl.read_folder),),),
        (stl.REMEDY,),
        unlabelled=100_000,
    ),
    "imagenette": _folders(
        "imagenette",
        "Imagenette",
        10,
        9469,
        3925,
        "unpack the archive imagenette2-160 of fast.ai's Imagenette",
    ),
    "imagenet": _folders(
        "imagenet",
        "ImageNet",
        1000,
        1_281_167,
        50_000,
        "ask its maintainers for the ILSVRC 2012 images and unpack each class into a folder of its own, "
        "the validation images too",
    ),
}
