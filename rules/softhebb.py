"""SoftHebb, fully connected (Moraitis et al. 2021; Journe et al., arXiv 2209.11883), as the code runs it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from neurosim.core.protocols import Floats, LocalUpdate, State
from neurosim.kernels.compete import compete
from neurosim.kernels.jit import share
from neurosim.kernels.rows import EXPONENTIAL
from neurosim.rules.columns import column_sums, parts, summed
from neurosim.rules.local import LocalRule
from neurosim.rules.norms import LARGEST_NORM_SQUARED, squared_sums

PEAK = 3.4
"""A column's largest change is so many times the rms of its changes (inputs of images, measured: docs)."""
SMALLEST_PRIOR = 1e-6
"""No neuron is believed to answer more rarely, in multiples of the mean: one that never won can still come to win."""


class SoftHebb(LocalRule):
    """Soft winner-take-all Hebbian learning with a rate that vanishes as a neuron's norm reaches one.

    With ``y = softmax(u / tau)`` and ``eta_k = learning_rate |r_k - 1|**rate_power``, a mini-batch changes
    ``w_ik`` by ``eta_k / batch * sum_b y_bk (x_bi - u_bk w_ik)``: pre = x, post = eta y / batch and
    decay = eta / batch * sum_b y u. The fixed gain replaces the paper's normalisation by the largest change
    of the whole layer, which no wire carries. The norm r is column state: it follows the update by its own
    arithmetic and is corrected whenever the array measures it.

    With `bias`, ``y = softmax((u + b) / tau)`` and ``b = tau ln(q)``: each neuron's prior q starts at one among all
    neurons and follows the mean of its answers, ``q += eta_k bias_rate (mean_b y - q)``. To first order in the rate
    that is the published ``b += eta_k tau bias_rate (mean_b y / q - 1)`` (Moraitis et al. 2021), which a winner among
    many neurons, with y / q large, would throw far off. The currents in the change of the weights are without bias,
    so that norms still come to one.
    """

    name: ClassVar[str] = "softhebb"
    added: ClassVar[tuple[str, ...]] = ("least_answer",)
    """Settings that came later: at their default they leave the identity of a training as it was."""

    inverse_temperature: float = Field(12.0, gt=0)
    learning_rate: float = Field(0.5, gt=0)
    rate_power: float = Field(0.2, ge=0)
    anti_hebbian: bool = False
    """Give all but the winning neuron of each sample the opposite sign (soft anti-Hebbian)."""
    adaptive_gain: bool = False
    """Divide each mini-batch's change by the largest that any neuron's would have, from what its column knows: the
    length of the change, by the arithmetic that follows the norm. Stands for the paper's normalisation."""
    least_answer: float = Field(0.0, ge=0, lt=1)
    """A neuron whose share of the softmax is smaller learns nothing of the sample, which costs no product and no pulse."""
    bias: bool = False
    """Let each neuron learn how often it answers, its prior."""
    bias_rate: float = Field(1.0, gt=0)
    """Rate of the bias in multiples of the neuron's (the published code: 1, and 0.1 in convolutions)."""

    def state(self, rows: int, cols: int) -> State:
        """Return that of the rate, and the priors in multiples of one among all neurons."""
        found = super().state(rows, cols)
        if self.bias:
            found["prior"] = np.ones(cols, np.float32)
        return found

    def _compete(self, u: Floats, rate: Floats, state: State) -> tuple[Floats, Floats]:
        """Return rate times response (batch, cols), and the sums over the batch of that times the current (cols,)."""
        post, real = np.empty_like(u), u.dtype.type
        bias = np.log(state["prior"]) / self.inverse_temperature if self.bias else np.empty(0)
        bias, rate = bias.astype(u.dtype, copy=False), rate.astype(u.dtype, copy=False)

        def fill(block: tuple[int, int]) -> Floats:
            some, along = slice(*block), np.zeros(u.shape[1], u.dtype)
            compete(
                u[some], bias, real(self.inverse_temperature), self.anti_hebbian, rate, EXPONENTIAL[u.dtype.name],
                post[some], along,
            )  # fmt: skip
            if self.least_answer:
                quiet = np.abs(post[some]) < real(self.least_answer) * rate
                along -= np.where(quiet, post[some] * u[some], 0).sum(axis=0)
                post[some][quiet] = 0
            return along

        return post, summed(share(fill, parts(*u.shape)))

    def _learn_bias(self, post: Floats, rate: Floats, state: State) -> None:
        """Let the priors follow the mean answers; `rate` is what `post` contains, but for the sign."""
        if not self.bias:
            return
        prior = state["prior"]
        answers = column_sums(np.abs(post)) * (len(prior) / len(post)) / rate
        prior += np.minimum(self._rate(state) * self.bias_rate, 1) * (answers - prior)
        np.maximum(prior, SMALLEST_PRIOR, out=prior)

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update for inputs (batch, rows) and column currents (batch, cols)."""
        rate = self._rate(state)
        if not self.adaptive_gain:
            rate /= x.shape[0]
        post, decay = self._compete(u, rate, state)
        self._learn_bias(post, rate, state)
        self._count(state)
        squared = self._squared_length(x, post, decay, state)
        if self.adaptive_gain:
            gain = self._gain(np.sqrt(squared) / rate, x.shape[1])
            post *= gain
            decay *= gain
            squared *= gain * gain
        r2 = state["norm_squared"]
        r2 += 2 * decay * (1 - r2) + squared
        np.clip(r2, 0, LARGEST_NORM_SQUARED, out=r2)
        return LocalUpdate(x, post, decay)

    def _squared_length(self, x: Floats, post: Floats, decay: Floats, state: State) -> Floats:
        """Squared length of each column's change S - D w: |S|^2 - 2 D^2 + D^2 r^2, since S w = D, the decay."""
        found: Floats = np.maximum(squared_sums(x, post) + decay * decay * (state["norm_squared"] - 2), 0)
        return found

    def _gain(self, lengths: Floats, rows: int) -> Any:
        """What brings the largest change of a weight to one, if it is `PEAK` times the rms of its column's changes."""
        peak = lengths.max() * (PEAK / rows**0.5)
        return lengths.dtype.type(1 / (peak + 1e-30))


class SoftHebbPaper(SoftHebb):
    """The paper's preset: the change divided by its largest magnitude over the layer. Ideal arithmetic only.

    Preset 2SoftMlpMNIST: start radius 35, learning rate 0.045, batch 32. The rate follows the measured norms,
    so measure them after every update (``norm_every = 1``), as the code does: in ideal arithmetic it is free.
    Changes of the bias, ``sum_b y / q - batch``, are divided by the largest of them too: ``b += eta_k tau bias_rate``
    times that.
    """

    name: ClassVar[str] = "softhebb-paper"
    ideal_only: ClassVar[bool] = True
    normalised: ClassVar[bool] = True

    learning_rate: float = Field(0.045, gt=0)

    @model_validator(mode="after")
    def _is_normalised_already(self) -> Self:
        if self.adaptive_gain:
            raise ValueError(
                "adaptive_gain stands for the division by the largest change, which 'softhebb-paper' does itself: leave it out, "
                "or use 'softhebb'"
            )
        return self

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update together with the rate inside it, for the normalisation."""
        rate = self._rate(state)
        post, decay = self._compete(u, rate, state)
        self._learn_bias(post, rate, state)
        self._count(state)
        return LocalUpdate(x, post, decay, rate)

    def _learn_bias(self, post: Floats, rate: Floats, state: State) -> None:
        """Change the biases as the published code does."""
        if not self.bias:
            return
        prior = state["prior"]
        change = column_sums(np.abs(post)) * len(prior) / (rate * prior) - len(post)
        change /= np.abs(change).max() + 1e-30
        prior *= np.exp(self.bias_rate * rate * change)
