"""How far numbers of a fitted card may be trusted, as their sources say, where `neurosim requirements` prints them."""

from __future__ import annotations

import re

import numpy as np
import pytest

import neurosim as ns
from neurosim.devices.fitting import fit, to_toml
from neurosim.energy.marks import intervals_of, mark_of
from neurosim.report.requirements import marks, requirements_table
from neurosim.study.requirements import backwards, requirements
from neurosim.study.swept import collect

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")


def test_marks_of_what_a_fit_gave(tmp_path) -> None:
    """As their sources say: fitted with the interval, seen, given; those of published cards as before."""
    draws = np.random.default_rng(0)
    rows = ["device,pulse,polarity,conductance_uS"]
    for k in range(3):
        up = np.cumsum(draws.normal(2.0, 0.4, 40))
        down = up[-1] - np.cumsum(draws.normal(2.0, 0.4, 40))
        signs = ["", *["SET"] * 40, *["RESET"] * 40]
        values = [20.0, *(20 + up), *(20 + down)]
        rows += [f"d{k},{n},{sign},{g:.3f}" for n, (sign, g) in enumerate(zip(signs, values, strict=True))]
    (tmp_path / "my.csv").write_text("\n".join(rows))
    found = fit([tmp_path / "my.csv"], write_voltage_V=1.5, write_time_s=1e-7, resamples=0)
    card = tmp_path / "my.toml"
    card.write_text(to_toml(found.card))
    marked = {name: mark_of(number.source) for name, number in found.card.parameters.items()}
    assert "published" not in marked.values()
    for name, estimate in found.intervals.items():
        assert marked[name.split("[")[0]] == "fitted"
        if "[" not in name:
            ((low, high),) = intervals_of(found.card.parameters[name].source)
            assert (low, high) == pytest.approx((estimate.low, estimate.high), rel=1e-3)
    assert marked["write_voltage_V"] == "given"
    # and so they stand in the table that `neurosim requirements` prints
    spec = ns.DenseExperiment.parse(
        {"dataset": "digits", "train_images": 60, "test_images": 20, "neurons": 6, "epochs": 1, "seeds": 2,
         "device": [str(card)]}, "test"
    )  # fmt: skip
    plan = backwards(spec, factors=(1.0,))
    results = collect(requirements(plan, tmp_path / "o"))
    assert requirements_table(results) is not None
    lines = results["requirements"][0]["lines"]
    told = [marks(line) for line in lines if line["has"]]
    assert any(re.search(r"fitted \(95 %: .*\d to \d", each) for each in told)
    assert not any("published" in each for each in told)


def test_marks_of_other_sources_stay() -> None:
    assert mark_of("Joshi et al. (2020), as fitted in aihwkit (MIT)") == "published"
    assert mark_of("assumed as on card x: fitted to my.csv, 95 % interval 1 to 2") == "assumed"
    assert mark_of("definition: symmetric range") == "by definition"
    assert mark_of("drawn from the 95 % interval 1 to 2 of x") == "fitted"
    assert intervals_of("fitted to a.csv, 95 % interval -6.1e-05 to 2") == [(-6.1e-05, 2.0)]
    assert intervals_of("Fig. 3 to 5") == []
