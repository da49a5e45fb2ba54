"""A chip that learns, asked as scikit-learn asks its estimators: fit, transform, predict; kept in a file and aged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.exceptions import NotFittedError

from neurosim.core.errors import CapabilityError, ConfigError, InputError, NeurosimError, UnknownNameError
from neurosim.core.protocols import Floats, State
from neurosim.data.dataset import Dataset
from neurosim.network.arrays import to_numpy
from neurosim.network.local_fields import locations
from neurosim.network.readout import Readout
from neurosim.study.evaluate import on_devices
from neurosim.study.experiment import Experiment
from neurosim.study.kinds import load_experiment
from neurosim.study.learnt_file import from_state, in_state
from neurosim.study.run import pick_arm
from neurosim.study.store import read_arrays, whole_file, write_arrays
from neurosim.study.training import Training

NESTED = ("experiment",)
"""Parameters whose own settings are parameters too: ``experiment__epochs``."""


class NotLearntError(NeurosimError, NotFittedError):  # type: ignore[misc]
    """A learner is asked before it has learnt."""


class Learner(ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """One arm of an experiment as an estimator of scikit-learn: one training, the same bits as `neurosim.compare`.

    It asks without a trace: the same question gets the same answer, and what was asked changes nothing that is learnt.

    Parameters
    ----------
    experiment : Experiment, str or Path
        Of one layer, deep or by Forward-Forward; or its file. Its data set and numbers of images are of no account: what
        is learnt is what `fit` is given.
    arm : str, optional
        Name of the arm; default the first on devices, else the first.
    seed : int
    scale, size : optional
        How samples are taken, as of `neurosim.data.Reading`: the value that becomes 1, the size of images. What is left
        out is seen from the values; nothing is resized unasked.

    Attributes
    ----------
    training_ : Training
        What has learnt: its layers, rules and arrays.
    classes_ : array
        Labels in their order; not there where `fit` was given none.
    n_features_in_ : int
        Numbers of a sample.
    counts_ : dict
        Events that the arrays counted while they learnt, by name; empty in ideal arithmetic. None: joules nobody knows.

    Examples
    --------
    >>> import neurosim as ns
    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> chip = ns.Learner(ns.DenseExperiment(neurons=50, device=("pcm-nandakumar-2018",)), scale=16)
    >>> bool(chip.fit(x[:1000], y[:1000]).score(x[1000:], y[1000:]) > 0.5)
    True
    """

    def __init__(
        self,
        experiment: Experiment | str | Path,
        arm: str | None = None,
        seed: int = 0,
        *,
        scale: Any = None,
        size: Any = None,
    ):
        self.experiment, self.arm, self.seed = experiment, arm, seed
        self.scale, self.size = scale, size

    def fit(self, X: ArrayLike | Dataset, y: ArrayLike | None = None) -> Self:
        """Learn from the start.

        Parameters
        ----------
        X : (n, height, width[, channels]) or (n, numbers) array, or Dataset
            Of a data set its training images, with their labels.
        y : (n,) array, optional
            Labels, numbers or text. Without them the layers learn all the same, if their rule needs none, and `predict`
            refuses until `fit_readout` was given some.

        Returns
        -------
        self

        Raises
        ------
        NeurosimError
            If experiment, samples or labels are wrong; nothing has been learnt then.
        """
        experiment = self._experiment()
        arm = pick_arm(experiment, self.arm)
        data, classes = self._data(X, y)
        training = experiment.training(arm, self.seed, data)
        if classes is None and training.taught:
            raise InputError("y is missing: this experiment learns from labels; give fit(X, y)")
        for name in ("classes_", "readout_"):
            self.__dict__.pop(name, None)
        training.watched = False
        training.run()
        self.training_, self.n_features_in_ = training, data.rows
        self.counts_ = training.counts()
        if classes is not None:
            self._fit_readout(training.fit.images, training.fit.labels, classes)
        return self

    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn on, so many epochs as the experiment has, from further samples; the readout is trained anew on these.

        Raises
        ------
        CapabilityError
            If what it learns by comes to rest at the end of its images, as Forward-Forward does.
        InputError
            If there is a label that `fit` was not given.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(X, y)
        learnt = self._learnt()
        if not learnt.goes_on:
            raise CapabilityError(
                f"{type(learnt).__name__}: its rate of learning has fallen to zero; give fit all samples at once"
            )
        rows = learnt.data.rows_of(X)
        classes = self.__dict__.get("classes_")
        labels = (
            np.zeros(len(rows), np.int64) if y is None or classes is None else self._numbers(y, len(rows))
        )
        none, of_none = rows[:0], labels[:0]
        data = replace(
            learnt.data, x_train=rows, y_train=labels, x_validation=none, y_validation=of_none,
            x_test=none, y_test=of_none, x_unlabelled=None,
        )  # fmt: skip
        further = learnt.experiment.training(learnt.arm, self.seed, data)
        further.restore(learnt.snapshot())
        further.watched = False
        further.run()
        self.training_, self.counts_ = further, further.counts()
        if y is not None:
            self._fit_readout(rows, labels, self.classes_) if classes is not None else self.fit_readout(X, y)
        return self

    def fit_readout(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train the readout anew on labelled samples, read through the devices as they are now; the layers learn nothing.

        Raises
        ------
        CapabilityError
            If the layers themselves tell classes (Forward-Forward with labels).
        """
        training = self._learnt()
        if training.taught:
            raise CapabilityError("the layers tell classes by their goodness: there is no readout to train")
        classes = _classes(y)
        rows = training.data.rows_of(X)
        return self._fit_readout(rows, _numbered(y, classes, len(rows)), classes)

    def transform(self, X: ArrayLike) -> Floats:
        """Return what the readout sees of samples, read through the devices: (n, features) float32."""
        training = self._learnt()
        with self._asking():
            found = training.represented(training.data.rows_of(X))
        return found.astype(np.float32, copy=False)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of each sample, by the readout of the experiment's first accuracy.

        Raises
        ------
        NotLearntError
            If there were no labels.
        """
        training = self._learnt()
        if "classes_" not in self.__dict__:
            raise NotLearntError(
                "it has learnt without labels: give fit_readout(X, y) some labelled samples, or put another classifier "
                "behind transform(X)"
            )
        with self._asking():
            numbers = training.classified(training.data.rows_of(X), self.readout_)
        found: NDArray[Any] = self.classes_[numbers]
        return found

    def advance(self, seconds: float) -> Self:
        """Let time pass: the devices age, the readout stays as it is (`fit_readout` trains it anew).

        In ideal arithmetic nothing ages.

        Raises
        ------
        InputError
            If `seconds` is negative or not finite.
        """
        for layer in self._learnt().layers:
            layer.array.advance(seconds)
        return self

    def weights(self, path: Path | str | None = None) -> State:
        """Return weights and conductances of every layer, and write them to an npz file if there is a path.

        Returns
        -------
        arrays : dict
            ``layer_0.weights`` (rows, columns), in weight units; ``layer_0.conductance_uS`` (rows, two a column: plus and
            minus device), in uS; of layers of several arrays ``layer_0.location_3.weights``; ``readout.weight``
            (classes, features) and ``readout.bias``; ``about``, a text that says all this of each.
        """
        training = self._learnt()
        found: State = {}
        told: dict[str, Any] = {}
        for number, layer in enumerate(training.layers):
            arrays = locations(layer.array)
            for place, array in enumerate(arrays):
                name = f"layer_{number}" + (f".location_{place}" if len(arrays) > 1 else "")
                found[f"{name}.weights"] = to_numpy(array.weights())
                told[f"{name}.weights"] = "(rows, columns), weight units"
                devices = on_devices(array)
                if devices is not None:
                    found[f"{name}.conductance_uS"] = to_numpy(devices.conductance_uS())
                    told[f"{name}.conductance_uS"] = (
                        "(rows, 2 a column: plus and minus device, spare columns included), uS"
                    )
        readout = self.__dict__.get("readout_")
        if readout is not None:
            found |= {
                "readout.weight": to_numpy(readout.weight).copy(),
                "readout.bias": to_numpy(readout.bias).copy(),
            }
            told |= {"readout.weight": "(classes, features), of transform", "readout.bias": "(classes,)"}
        about = {
            "arrays": told,
            "classes": [str(label) for label in self.__dict__.get("classes_", ())],
            "arm": training.name,
            "seed": self.seed,
            "experiment": training.experiment.model_dump(mode="json", exclude_unset=True),
        }
        found["about"] = np.array(json.dumps(about, indent=1, ensure_ascii=False))
        if path is not None:
            with whole_file(Path(path)) as stream:
                np.savez(stream, allow_pickle=False, **found)
        return found

    def save(self, path: Path | str) -> Path:
        """Write what has learnt into a checked file: arrays, clock, random numbers, readout and experiment.

        The loaded one answers and learns on with the same bits. The samples themselves are not in it.
        """
        self._learnt()
        write_arrays(Path(path), in_state(self))
        return Path(path)

    @classmethod
    def load(cls, path: Path | str, experiment: Experiment | None = None) -> Self:
        """Return a learner that was saved.

        Parameters
        ----------
        path : Path
        experiment : Experiment, optional
            Where its devices or rules were given as objects, which no file holds.

        Raises
        ------
        CheckpointError
            If the file is damaged, no learner's, or made with another device, rule or arithmetic.
        """
        return from_state(cls, read_arrays(Path(path)), Path(path), experiment)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; `deep` adds the experiment's settings, as ``experiment__epochs``."""
        found: dict[str, Any] = super().get_params(deep=False)
        for name in NESTED if deep else ():
            if isinstance(found[name], Experiment):
                found |= {
                    f"{name}__{field}": getattr(found[name], field)
                    for field in type(found[name]).model_fields
                }
        return found

    def set_params(self, **params: Any) -> Self:
        """Change parameters, or settings of the experiment (``experiment__epochs=3``)."""
        known = self.get_params(deep=False)
        settings: dict[str, Any] = {}
        for name, value in params.items():
            outer, _, inner = name.partition("__")
            if outer not in known or (inner and outer not in NESTED):
                raise UnknownNameError("parameter", name, known)
            if inner:
                settings[inner] = value
            else:
                setattr(self, name, value)
        if settings:
            self.experiment = self._experiment(checked=False).changed(**settings)
        return self

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        kind = getattr(self.experiment, "kind", None)
        what = f"{kind} experiment" if kind else repr(str(self.experiment))
        arm = self.training_.name if self.__sklearn_is_fitted__() else self.arm
        learnt = f", {self.training_.steps:,} mini-batches learnt" if self.__sklearn_is_fitted__() else ""
        return f"Learner({what}{f', arm {arm!r}' if arm else ''}, seed {self.seed}{learnt})"

    def __sklearn_is_fitted__(self) -> bool:
        """Whether it has learnt, for `sklearn.utils.validation.check_is_fitted`."""
        return "training_" in self.__dict__

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle or copy holds: parameters, and what `save` writes."""
        learnt = {"learnt": in_state(self)} if self.__sklearn_is_fitted__() else {}
        return {"params": self.get_params(deep=False), **learnt}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Become what a pickle or copy holds."""
        self.__dict__.update(state["params"])
        if "learnt" in state:
            loaded = from_state(type(self), dict(state["learnt"]), Path("pickle"), self._experiment())
            self.__dict__.update({**loaded.__dict__, **state["params"]})

    def _experiment(self, checked: bool = True) -> Experiment:
        given = self.experiment
        found = load_experiment(given) if isinstance(given, str | Path) else given
        if not isinstance(found, Experiment):
            raise InputError(f"experiment: expected an experiment or its file, got {type(given).__name__}")
        if not found.one_training:
            raise ConfigError(
                f"a study of kind '{found.kind}' is several trainings; give a Learner the experiment of one of them"
            )
        if checked:
            found.check()
        return found

    def _data(self, X: Any, y: Any) -> tuple[Dataset, NDArray[Any] | None]:
        """The samples as a data set, and the labels in their order; labels that are not there are made up."""
        if isinstance(X, Dataset):
            if y is not None:
                raise InputError("y: a data set has its labels; leave y out")
            return X, np.arange(X.classes)
        x = np.asarray(X)
        classes = None if y is None else _classes(y)
        labels = np.arange(len(x)) % 2 if classes is None else _numbered(y, classes, len(x))
        asked = {name: value for name in ("scale", "size") if (value := getattr(self, name)) is not None}
        return Dataset.of(x, labels, x[:1], labels[:1], name="samples", **asked), classes

    def _learnt(self) -> Training:
        if not self.__sklearn_is_fitted__():
            raise NotLearntError("it has not learnt yet: call fit(X, y) first")
        found: Training = self.training_
        return found

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Context in which reads leave no trace, through exactly solved wires."""
        with self.training_.looking():
            self.training_.solve_wires()
            yield

    def _fit_readout(self, rows: Any, labels: NDArray[np.int64], classes: NDArray[Any]) -> Self:
        training = self._learnt()
        training.solve_wires()
        self.readout_: Readout | None = None
        if not training.taught:
            self.readout_ = training.readout(training.represented(rows), labels, len(classes))
        self.classes_ = classes
        return self

    def _numbers(self, y: ArrayLike, samples: int) -> NDArray[np.int64]:
        return _numbered(y, self.classes_, samples)


def _classes(y: ArrayLike) -> NDArray[Any]:
    """The labels in their order."""
    found = np.unique(_labels(y))
    if len(found) < 2:
        raise InputError(f"y: {len(found)} classes; it takes two or more")
    return found


def _labels(y: ArrayLike) -> NDArray[Any]:
    given = np.asarray(y)
    if given.dtype.kind == "O" and all(isinstance(label, str) for label in given.flat):
        given = given.astype(str)
    if given.ndim != 1 or given.dtype.kind not in "biuU":
        raise InputError(
            f"y: expected one label a sample, whole numbers or text, got {given.dtype} of shape {given.shape}"
        )
    return given


def _numbered(y: ArrayLike, classes: NDArray[Any], samples: int) -> NDArray[np.int64]:
    """The place of each label among the classes."""
    labels = _labels(y)
    if len(labels) != samples:
        raise InputError(f"{samples} samples in X, but {len(labels)} labels in y")
    unknown = ~np.isin(labels, classes)
    if unknown.any():
        raise InputError(f"y: {labels[unknown][0]!r} is no class that fit was given")
    return np.searchsorted(classes, labels).astype(np.int64)
