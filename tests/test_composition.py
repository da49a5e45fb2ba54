"""Every card from its writing to a year later against `composition_reference`, which shares no code with it."""

from __future__ import annotations

import composition_reference as reference
import numpy as np
import pytest
from composition_helpers import DAY, EFFECTS, HOUR, TOGETHER, YEAR, beyond, deviations, device
from helpers import check_mean, check_std, every_card, slow_unless

from neurosim import devices

JOSHI, HERMES, HERMES_2 = "pcm-joshi-2020", "pcm-hermes-2023-1-device", "pcm-hermes-2023-2-devices"
NEURRAM = "rram-neurram-wan-2022"
CMO, FINE_CMO = "rram-cmo-hfox-falcone-2025", "rram-cmo-hfox-falcone-2025-fine"
FAMILIES = (
    JOSHI,
    HERMES,
    NEURRAM,
    FINE_CMO,
    "pcm-nandakumar-2018",
    "rram-hfo2-om-2022",
    "ecram-li-tang-2018",
)
N = 400_000


def drawn(name: str, target: float, ages: list[float], seed: int = 0, **changes: object) -> np.ndarray:
    """The reference's devices, (ages, N)."""
    rng = np.random.default_rng(seed)
    return reference.composed(reference.parameters(name), target, ages, N, rng, **changes)


def error_free(name: str) -> dict[str, object]:
    """Changes that switch the error of writing off."""
    return {"error_uS": [[0.0]] * len(reference.parameters(name)["error_uS"])}


# The reference against closed forms and the publications' own values.


@pytest.mark.parametrize(
    ("name", "target", "age", "sigma"),
    [
        *((JOSHI, g, 1.0, s) for g, s in ((6.25, 0.681), (12.5, 0.953), (18.75, 1.077), (25.0, 1.055))),
        *((NEURRAM, 40 * g, 1.0, s) for g, s in ((0.1, 1.56), (0.25, 2.26), (0.5, 2.02), (1.0, 1.10))),
        *((NEURRAM, 40 * g, DAY, s) for g, s in ((0.1, 2.45), (0.25, 3.72), (0.5, 3.91), (1.0, 2.65))),
        (CMO, 50.0, 1.0, 0.576),
        (FINE_CMO, 50.0, 1.0, 0.054),
    ],
)
def test_written_states_spread_as_published(name, target, age, sigma):
    assert reference.error_at(reference.parameters(name), target, age) == pytest.approx(sigma, abs=0.006)


def test_the_error_of_a_table_refers_to_the_target_at_every_age():
    ages = [
        1.0,
        np.sqrt(DAY),
        DAY,
        10 * YEAR,
    ]  # the second half way between two rows, the last beyond the table
    g = drawn(NEURRAM, 20.0, ages)
    p = reference.parameters(NEURRAM)
    first, day, two_days = (reference.error_sigma(p, 20.0, row) for row in range(3))
    for path, sigma in zip(g, (first, (first + day) / 2, day, two_days), strict=True):
        check_mean(path, 20.0)
        check_std(path, sigma)


def test_cmo_relaxes_as_published():
    """At 50 uS: the spread is whole at one second, and grows with the logarithm of time."""
    ages = [1.0, 25.0, HOUR, DAY, YEAR]
    g = drawn(FINE_CMO, 50.0, ages, flicker_of=None, **error_free(FINE_CMO))
    for age, path, sigma in zip(ages, g, (0.412, 0.547, 0.756, 0.889, 1.137), strict=True):
        check_mean(path, 50 - 0.089 * np.log(age))
        check_std(path, sigma, extra=0.0006)


def test_joshi_drifts_by_the_published_factors():
    """0.664 from g = 0.2 on after a day, 0.605 at 0.1; the spread of exponents leaves 6.7 % at g = 1."""
    for target, factor in ((2.5, 0.605), (12.5, 0.664), (25.0, 0.664)):
        _, sigma = reference.joshi_drift(target / 25)
        day = drawn(JOSHI, target, [DAY], flicker_of=None, **error_free(JOSHI))[0]
        assert np.median(day) / target == pytest.approx(factor, abs=0.001)
        check_std(np.log(day), float(sigma) * np.log(DAY / 20), extra=0.003)


@pytest.mark.parametrize(("age", "share"), [(20.0, 0.0578), (DAY, 0.0702)])
def test_joshi_flickers_as_published(age, share):
    g = drawn(JOSHI, 12.5, [age], drift_of=None, **error_free(JOSHI))[0]
    check_mean(g, 12.5)
    check_std(g / 12.5, share, extra=5e-5)


def test_published_pieces_meet_where_they_change():
    """Each fit in two pieces is nearly continuous: a digit typed wrongly would tear it."""
    for law, edges in (
        (reference.hermes_1_flicker, (0.1591,)),
        (reference.hermes_2_flicker, (0.16,)),
        (lambda g: reference.hermes_1_drift(g)[0], (0.0945,)),
        (lambda g: reference.hermes_1_drift(g)[1], (0.3039,)),
        (lambda g: reference.hermes_2_drift(g)[1], (0.3055,)),
    ):
        for edge in edges:
            assert law(edge - 1e-6) == pytest.approx(law(edge + 1e-6), rel=0.03)


def test_nothing_but_drift_and_relaxation_waits_for_the_reading_time():
    """A HERMES device of one second stands where one of 200 s does, but has relaxed from retention's clock."""
    young, old = drawn(HERMES, 5.0, [1.0, 200.0])
    assert np.array_equal(young, old)
    young, old = drawn(HERMES, 5.0, [1.0, 200.0], retention_s=200.0)
    assert old.mean() / young.mean() == pytest.approx(np.exp(-1 + 1 / 200), rel=0.01)


def test_stuck_cells_read_exactly_the_ends_and_telegraph_noise_keeps_the_mean():
    g = drawn("epiram-sige-choi-2018", 6.0, [YEAR], p_stuck_gmin=0.05, p_stuck_gmax=0.03)[0]
    assert np.mean(g == 0.24593) == pytest.approx(0.05, abs=0.002)
    assert np.mean(g == 12.3457) == pytest.approx(0.03, abs=0.002)
    noise = {"telegraph_share": 0.3, "telegraph_amplitude": 0.1, "telegraph_spread": 0.5}
    g = drawn("epiram-sige-choi-2018", 6.0, [1.0], **noise)[0]
    check_mean(g, 6.0)
    check_std(g / 6.0, 0.05 * np.exp(0.25) * np.sqrt(0.3))


# What the comparison itself can see.


def test_the_comparison_sees_a_shift_of_a_tenth_and_forgives_the_same_law():
    rng = np.random.default_rng(0)
    same = [deviations(rng.standard_normal(4000), rng.standard_normal(200_000)) for _ in range(40)]
    assert max(abs(off) for one in same for off in one.values()) < 4.5
    shifted = deviations(0.1 + rng.standard_normal(4000), rng.standard_normal(200_000))
    assert shifted["mean"] > 4
    assert shifted["50%"] < -4
    wider = deviations(1.1 * rng.standard_normal(4000), rng.standard_normal(200_000))
    assert wider["spread"] > 6


def test_devices_that_all_stand_at_one_value_are_compared_too():
    one = np.full(4000, 3.0, np.float32)
    assert set(deviations(one, np.full(9000, 3.0)).values()) == {0.0}
    assert abs(deviations(one, np.full(9000, 3.001))["mean"]) > 100
    few = np.where(np.arange(4000) % 20 == 0, 9.0, 3.0)
    assert abs(deviations(few, np.full(9000, 3.0))["mean"]) > 100


# The simulator against the reference.


@pytest.mark.parametrize("name", every_card())
def test_every_card_is_the_composition_of_its_numbers(name):
    """Mean, spread and tenths at three targets and five ages: the published formulas, or the numbers of the file."""
    law = reference.parameters(name)["law"]
    if law not in reference.WRITE:
        pytest.skip(
            f"docs/devices.md does not say what programming a device of the law {law} makes of a target"
        )
    assert beyond(name) == []


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize(
    "name", [slow_unless(name in (JOSHI, "ecram-li-tang-2018"), name) for name in FAMILIES]
)
def test_each_effect_alone(name, effect):
    """One effect more than the card has, against the plain numpy composition."""
    assert beyond(name, [effect]) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_all_effects_together(name):
    """What is right alone is right in the total: all effects at once, at every age, against the composition."""
    assert beyond(name, TOGETHER) == []


def test_relaxation_counts_from_its_own_start_where_the_reading_time_is_later():
    """Ten seconds have passed at the reading time of a drift table of 10 s: the whole spread is there, and the target,
    which refers to the reading time, is met in the mean."""
    changes = {
        "drift_table_share": [0.0, 1.0],
        "drift_table_exponent": [0.05, 0.05],
        "drift_table_start_s": 10.0,
        "relaxation_mean_uS": -0.1,
        "relaxation_sigma_uS": 0.2,
        "relaxation_sigma_slope_uS": 0.02,
        "relaxation_start_s": 1.0,
    }
    law = devices.load("rram-hfo2-milo-2021").with_parameters(error_uS=[[0.0]], **changes)
    young, read, later = devices.programmed(law, [100.0], [1.0, 10.0, 1000.0], 20_000)[:, 0]
    assert np.array_equal(young, read)
    check_mean(read, 100.0)
    check_std(read, 0.2 + 0.02 * np.log(10))
    check_mean(later, (100.0 + 0.1 * np.log(10)) * 100**-0.05 - 0.1 * np.log(1000))
    check_std(later, 0.2 + 0.02 * np.log(1000))


@pytest.mark.parametrize("start", [1e3, 1e5])
@pytest.mark.parametrize("name", [JOSHI, HERMES, HERMES_2, CMO, "rram-hfo2-om-2022"])
def test_flicker_of_one_write_forgets_with_age(name, start):
    """Deviations less than 1 % of the age apart are the same, a decade apart related, three decades apart not."""
    law, p = device(name, ["flicker"])
    ages = [start, 1.009 * start, 10 * start, 1000 * start]
    g = devices.programmed(law, [p["g_min_uS"] + 0.5 * (p["g_max_uS"] - p["g_min_uS"])], ages, 4000)[:, 0]
    assert g[0].std() > 0
    near, decade, far = (np.corrcoef(g[0], later)[0, 1] for later in g[1:])
    assert near > 0.99
    assert 0.05 < decade < 0.9
    assert abs(far) < 0.1
