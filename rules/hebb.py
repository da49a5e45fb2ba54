"""Hebb's rule and those that bound it in linear neurons, ``y = u``: with decay, Oja's and Sanger's."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from neurosim.core.protocols import Floats, LocalUpdate, State
from neurosim.kernels.products import product_of_updates
from neurosim.rules.columns import column_sums
from neurosim.rules.local import LocalRule


class Hebb(LocalRule):
    """Plain Hebb (1949): ``dw_ik = rate / batch * sum_b u_bk x_bi``. Nothing bounds the weights but the device.

    pre = x, post = rate u / batch, no decay.
    """

    name: ClassVar[str] = "hebb"

    def _response(self, u: Floats, rate: Floats) -> Floats:
        return u * rate

    def _decay(self, post: Floats, along: Floats) -> Floats | None:
        return None


class HebbDecay(Hebb):
    """Hebb with decay (Gerstner and Kistler 2002; Haykin 2009): ``dw_ik = rate / batch * sum_b u_bk (x_bi - w_ik)``.

    pre = x, post = rate u / batch, decay = sum_b post. A column comes to the mean of its inputs, each weighted by the
    current that it gave. A column of negative currents grows.
    """

    name: ClassVar[str] = "hebb-decay"

    def _decay(self, post: Floats, along: Floats) -> Floats | None:
        return column_sums(post)


class Oja(Hebb):
    """Oja (1982): ``dw_ik = rate / batch * sum_b u_bk (x_bi - u_bk w_ik)``.

    pre = x, post = rate u / batch, decay = sum_b post u. A column comes to the first principal component of its
    inputs, about their origin, with norm one.
    """

    name: ClassVar[str] = "oja"

    def _decay(self, post: Floats, along: Floats) -> Floats | None:
        return along


class Sanger(LocalRule):
    """Sanger (1989): ``dw_ik = rate / batch * sum_b u_bk (x_bi - sum_(j <= k) u_bj w_ij)``. Ideal arithmetic only.

    pre = x, post = rate u / batch, and a decay between columns, of which only j <= k are not zero:
    ``decay_jk = sum_b u_bj post_bk``. The columns come to the principal components in order. Column k subtracts
    what the columns before it hold in the same row, which no wire carries. Norms are not followed: measure them
    after every update (``norm_every = 1``), if the rate depends on them.
    """

    name: ClassVar[str] = "sanger"
    ideal_only: ClassVar[bool] = True

    def _response(self, u: Floats, rate: Floats) -> Floats:
        return u * rate

    def __call__(self, x: Floats, u: Floats, state: State) -> LocalUpdate:
        """Return the update for inputs (batch, rows) and column currents (batch, cols)."""
        post = self._response(u, self._rate(state) / x.shape[0])
        self._count(state)
        return LocalUpdate(x, post, np.triu(product_of_updates(u, post)))
