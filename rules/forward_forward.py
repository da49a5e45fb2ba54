"""Forward-Forward (Hinton, arXiv 2212.13345): up on positive data, down on negative data, each layer by itself."""

from __future__ import annotations

from typing import ClassVar, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from neurosim.core.errors import CapabilityError, ConfigError
from neurosim.core.protocols import Floats, LocalUpdate, State, Work
from neurosim.kernels.goodness import activities, answers, directions
from neurosim.kernels.jit import share
from neurosim.kernels.products import blocks
from neurosim.rules.columns import ELEMENTS
from neurosim.rules.rates import Falling

Goodness = Literal["squares", "minus-squares", "sum", "minus-sum"]
QUIET = 0.01
"""Samples whose signal is smaller are counted as quiet where none are skipped."""
OLD, NEW, START = 0.9, 0.1, 0.5
"""A neuron's mean activity: what it keeps in a mini-batch, what it takes in, and where it starts."""


class ForwardForward(Falling):
    """Each layer tells positive data from negative by its own goodness, and learns from that alone.

    With ``y = relu(u)``, the goodness G of a sample (the sum of y^2, of y, or minus that) makes it positive with
    ``p = sigmoid((G - theta) / temperature)``, theta = `threshold` times the number of neurons, with the sign of G. Of
    the phase, t = 1 for positive data and 0 for negative, one signal ``s = (t - p) / temperature`` is left for the
    whole layer and sample, and a weight changes by

    ``dw_ij = rate * (mean over positive + mean over negative samples) of s x_i g'_j``, with g' = y for squares
    (Hinton leaves the factor 2 out, and so do we), 1 where y > 0 for sums, and the sign of G.

    pre = x, post = rate s g' / samples of the phase, decay = rate times `decay`. Positive data have the peer term as
    well, ``rate peer x_i (m - m_j)``: it pulls each neuron's mean activity m_j to the mean m of the layer, whether the
    neuron is on or off, so that a dead one revives. m_j is column state, ``0.9 m_j + 0.1 mean_b y_bj`` over positive
    data, from 0.5. Biases are the weights of an input that is always one; they decay with their column.

    With `jump` one update of one sample is enough (equations 3 and 4): the sum of squares G of a sample that is not yet
    S = (threshold + jump) neurons (the data whose activity is to rise) or has not yet fallen to its mirror S =
    (threshold - jump) neurons (the other data) is put at S, in place of the signal and of `learning_rate`, by

    ``dw_ij = (sqrt(S / G) - 1) x_i y_j / |x|^2``, the bias' input among the x_i.

    All active neurons change by the same factor, the direction of y not at all, so that the layers above see what they
    saw. Samples on their own side of S change nothing, nor does the peer term by them. A neuron that is off stays off: where all are, no jump helps.
    Decay is as ever, and so is the peer term of samples that jump; the landing is exact without them. Where `rate_updates` lets the rate
    fall, the jump falls short in the same proportion.

    With `blocks` above one, the columns of a layer are so many groups of neighbours of equal size, and each decides for
    itself: it has a goodness (the sum over its own neurons), a threshold (`threshold` times these) and a signal of its
    own, so that a layer has to be right in every part of it. What a layer passes on, peer term and decay are those of
    the layer, and so is the goodness by which labels are told apart: the sum over all blocks.

    Notes
    -----
    The phase and the signal are what a synapse's own wires do not carry: the phase is broadcast to the layer, a scalar
    a sample, and the signal comes from the own sum of the layer, or of the block.
    """

    name: ClassVar[str] = "forward-forward"
    ideal_only: ClassVar[bool] = False
    needs_phase: ClassVar[bool] = True
    needs_norms: ClassVar[bool] = False
    added: ClassVar[tuple[str, ...]] = ("blocks",)
    """Settings that came later: where they are not used, kept runs are what they were."""

    goodness: Goodness = "squares"
    threshold: float = Field(1.0, gt=0)
    """Goodness, without its sign, of one neuron on the edge between positive and negative."""
    temperature: float = Field(1.0, gt=0)
    decay: float = Field(1e-3, ge=0)
    """Share of its weights that a column loses in an update, times the rate."""
    peer: float = Field(0.03, ge=0)
    """Strength of the pull of each neuron's mean activity to that of the layer; 0: none."""
    skip_quiet: float = Field(0.0, ge=0, lt=1)
    """Samples for which abs(t - p) is below this change nothing, and cost no product and no pulse; with blocks those for which
    it is below in all of them, and a quiet block of another sample changes nothing."""

    jump: float | None = Field(None, gt=0)
    """How far beyond the threshold, in goodness of one neuron, an update brings its one sample; None: by the rate."""
    blocks: int = Field(1, ge=1)
    """Groups of neighbouring columns, of equal size, each of which decides by its own goodness; 1: the layer as a whole. Columns
    of local receptive fields lie location by location: as many blocks as locations are a goodness for each location."""

    @model_validator(mode="after")
    def _can_jump(self) -> Self:
        if self.jump is None:
            return self
        if not self.squares:
            raise ValueError(
                f"jump = {self.jump}: needs goodness 'squares' or 'minus-squares'; others would turn the direction"
            )
        if self.jump >= self.threshold:
            raise ValueError(f"jump = {self.jump}: must be below threshold = {self.threshold}")
        if self.skip_quiet:
            raise ValueError("jump: samples that need none are skipped anyway; leave out skip_quiet")
        if self.blocks > 1:
            raise ValueError(
                f"jump = {self.jump}: with blocks = {self.blocks} each would jump by another factor, which turns the direction; "
                "leave out blocks, or jump"
            )
        return self

    @property
    def sign(self) -> float:
        """What positive data do to the activity: 1 raises it, -1 lowers it."""
        return -1.0 if self.goodness.startswith("minus") else 1.0

    @property
    def squares(self) -> bool:
        """Whether the goodness is made of squares, else of the activities themselves."""
        return self.goodness.endswith("squares")

    def block_size(self, cols: int) -> int:
        """Return the neurons of one block of a layer of so many.

        Raises
        ------
        ConfigError
            If they are not so many blocks of one size.
        """
        size, over = divmod(cols, self.blocks)
        if over or not size:
            dividing = ", ".join(str(k) for k in range(1, cols + 1) if not cols % k)
            raise ConfigError(
                f"blocks = {self.blocks}: {cols} neurons divide evenly by {dividing} alone; take one of these"
            )
        return size

    def activity(self, u: Floats) -> tuple[Floats, Floats]:
        """Return y = relu(u) (batch, cols) and the goodness of each sample (batch,), in double precision."""
        y, goodness, _ = self._activity(u, np.zeros(len(u), np.bool_))
        total: Floats = goodness.sum(axis=1)
        return y, total

    def _activity(self, u: Floats, counted: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Return y, the goodness of each block (batch, blocks), and the sums of y (cols,) over the samples that are counted (batch,)."""
        y, goodness = np.empty(u.shape, u.dtype), np.empty((len(u), self.blocks))

        def fill(block: tuple[int, int]) -> Floats:
            some, along = slice(*block), np.zeros(u.shape[1])
            activities(
                self._parts(u[some]),
                self.squares,
                counted[some],
                self._parts(y[some]),
                goodness[some],
                self._parts(along),
            )
            return along

        along = sum(share(fill, _blocks(u)), np.zeros(u.shape[1]))
        return y, self.sign * goodness, along

    def _parts(self, columns: Floats) -> Floats:
        """Columns (..., cols) block by block, (..., blocks, neurons of each): the same memory."""
        return columns.reshape(*columns.shape[:-1], self.blocks, columns.shape[-1] // self.blocks)

    def signal(self, goodness: Floats, cols: int, phase: Floats) -> Floats:
        """Return t - p of each sample (batch,), or of each block of each sample (batch, blocks), of so many neurons."""
        z = (goodness - self.sign * self.threshold * cols) / self.temperature
        up = (phase > 0).reshape(-1, *(1,) * (goodness.ndim - 1))
        found: Floats = up - (0.5 + 0.5 * np.tanh(0.5 * z))
        return found

    def jumps(self, x: Floats, goodness: Floats, cols: int, phase: Floats) -> Floats:
        """Return the factor of y in the change of each sample (batch,); 0 where it is on its own side of its goal.

        Raises
        ------
        CapabilityError
            If there are several samples: their jumps would add up and land nowhere.
        """
        if len(x) > 1:
            raise CapabilityError(
                f"jump is for updates of single samples, got {len(x)}: use learn_online, network.online.learn_each, or "
                "online = true in an experiment"
            )
        jump, total = cast(float, self.jump), self.sign * goodness
        way = self.sign * phase
        goal = (self.threshold + way * jump) * cols
        needed = (total > 0) & (way * (goal - total) > 0)
        length = np.einsum("bi,bi->b", x, x, dtype=np.float64)
        found: Floats = np.where(needed, np.sqrt(goal / np.where(needed, total, goal)) - 1, 0) / length
        return found

    def normalised(self, u: Floats, out: Floats | None = None) -> tuple[Floats, Floats]:
        """Return relu(u) of which only the direction is left, rms one or for sums mean one (batch, cols), and the goodness."""
        y, goodness = np.empty_like(u) if out is None else out, np.empty(len(u))

        def fill(block: tuple[int, int]) -> None:
            some = slice(*block)
            directions(u[some], self.squares, y[some], goodness[some])

        share(fill, _blocks(u))
        return y, self.sign * goodness

    def state(self, rows: int, cols: int) -> State:
        """Mean activities, samples seen and quiet ones among them; updates, if counted. Refuses what `block_size` does."""
        self.block_size(cols)
        return {
            "mean_activity": np.full(cols, START, np.float32),
            "samples": np.zeros(cols, np.int64),
            "quiet": np.zeros(cols, np.int64),
            **super().state(rows, cols),
        }

    def work(self, batch: int, rows: int, cols: int) -> Work:
        """Return the multiply-adds beside the array of one update: squares, direction, mean activity and answer of each."""
        return Work(answers=4 * batch * cols)

    def _rate(self, state: State) -> Floats:
        """Return the rate at this update (1,): all columns have the same."""
        first = {name: values[:1] for name, values in state.items()}
        rate: Floats = self.learning_rate * np.atleast_1d(self._left(first))
        return rate

    def __call__(self, x: Floats, u: Floats, state: State, phase: Floats) -> LocalUpdate:
        """Return the update for inputs (batch, rows), currents (batch, cols) and phases (batch,), 1 or -1.

        Quiet samples that are to be skipped are left out of the update; what a quiet block of another answers is zero.
        """
        rate = float(self._rate(state)[0])
        positive = phase > 0
        ups = int(np.count_nonzero(positive))
        y, goodness, sums = self._activity(u, positive)
        step: Floats
        if self.jump is None:
            signal = self.signal(goodness, self.block_size(u.shape[1]), phase)
            part = rate / np.where(positive, max(1, ups), max(1, len(phase) - ups))
            step = self.sign / self.temperature * signal * part[:, None]
            quiet = np.abs(signal) < (self.skip_quiet or QUIET)
        else:
            jumps = self.jumps(x, goodness[:, 0], u.shape[1], phase)
            step = (jumps * float(np.max(self._left(state))))[:, None]
            quiet = step == 0
        silent = quiet.all(axis=1)
        state["samples"] += len(x)
        state["quiet"] += np.count_nonzero(silent)
        means = state["mean_activity"]
        if ups:
            means *= OLD
            means += (NEW / ups) * sums
        pull = np.empty(0)
        if self.peer and ups:
            pull = (self.peer * rate / ups) * (means.mean(dtype=np.float64) - means)
        self._answer(y, step.astype(y.dtype), pull.astype(y.dtype), positive)
        self._count(state)
        decay = np.full_like(means, rate * self.decay) if self.decay else None
        if (self.skip_quiet or self.jump is not None) and quiet.any():
            if self.blocks > 1:
                self._parts(y)[quiet] = 0
            return LocalUpdate(x[~silent], y[~silent], decay)
        return LocalUpdate(x, y, decay)

    def _answer(self, y: Floats, step: Floats, pull: Floats, pulled: NDArray[np.bool_]) -> None:
        """Make of activities y (batch, cols), in place, what the columns answer to the steps of their blocks (batch, blocks)."""
        pulls = self._parts(pull) if pull.size else pull.reshape(0, 0)

        def fill(block: tuple[int, int]) -> None:
            some = slice(*block)
            answers(step[some], pulls, pulled[some], self.squares, self._parts(y[some]))

        share(fill, _blocks(y))


def _blocks(u: Floats) -> list[tuple[int, int]]:
    """Blocks of samples (batch, cols) that threads share, of a size that fits their caches."""
    return blocks(len(u), max(1, ELEMENTS // u.shape[1]))
