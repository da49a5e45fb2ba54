"""The findings in sentences, computed from the numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from neurosim.report.aged import aged_sentence
from neurosim.report.energy import a_sample_costs
from neurosim.report.results import ArmSummary, Results
from neurosim.report.text import NOTHING, PULSE_UNKNOWN, joules, number, percent
from neurosim.report.verdict import ANSWERED, answer_of, verdict

NAMED = 4
"""So many device arms get a sentence each; of more, only the best ones do."""
SURE = 0.05
"""p-values below this are counted as differences."""
LITTLE = 0.02
"""Gain in ideal arithmetic below which a share of it means little."""


def title(results: Results) -> str:
    """Return data set, layer and rule in one line."""
    config = results.config
    return f"{results.data.note}: {config.get('neurons', '?')} neurons learning by {config.get('rule', '?')}"


def lead(results: Results) -> str:
    """Say what the layer reaches in ideal arithmetic and what raw pixels alone give."""
    ideal = results.ideal
    if ideal is None:
        return f"No arm in ideal arithmetic was run on the {results.data.where}."
    raw = "".join(
        f" A linear classifier on {b.name} without any layer reaches {percent(b.accuracy)} %."
        for b in results.baselines
    )
    return (
        f"In ideal arithmetic the layer reaches {percent(ideal.accuracy_mean)} % on the {results.data.where} "
        f"with a linear readout ({percent(ideal.untrained_accuracy_mean)} % before learning) and "
        f"{percent(ideal.vote_mean)} % by vote ({percent(ideal.untrained_vote_mean)} % before learning).{raw}"
    )


def findings(results: Results) -> list[tuple[str, str]]:
    """Return (arm, what it reaches), the most accurate first; of many arms only the first few."""
    arms = sorted(results.device_arms, key=lambda arm: -arm.accuracy_mean)
    if len(arms) <= NAMED:
        return [(arm.arm, _finding(results, arm)) for arm in arms]
    rest = arms[NAMED - 1 :]
    others = (
        f"accuracy {percent(rest[-1].accuracy_mean)} % ({rest[-1].arm}) to "
        f"{percent(rest[0].accuracy_mean)} % ({rest[0].arm})."
    )
    return [
        *((arm.arm, _finding(results, arm)) for arm in arms[: NAMED - 1]),
        (f"The other {len(rest)} arms", others),
    ]


def _finding(results: Results, arm: ArmSummary) -> str:
    missing = "" if results.ideal else "no arm in ideal arithmetic was run"
    said = verdict({**arm.model_dump(by_alias=True), "missing": missing})
    left = aged_sentence(results.aged, arm.arm)
    return f"{said}{left}\n{_by_vote(arm)}{_cost(results, arm)}"


def _by_vote(arm: ArmSummary) -> str:
    """What it keeps by the vote of winners, with the verdict by it where there is one."""
    share = arm.vote_learning_kept
    kept = "an undefined share" if share is None else "none" if share <= 0 else f"{percent(share, 0)} %"
    said = f"By vote it keeps {kept} of the learning"
    if arm.vote_verdict is None or arm.vote_learning_kept_interval is None:
        return f"{said}."
    by_vote = {
        "verdict": arm.vote_verdict.model_dump(), "gap_interval": arm.vote_gap_interval,
        "accuracy_learning_kept_interval": arm.vote_learning_kept_interval,
    }  # fmt: skip
    low, high = (percent(end, 0) for end in arm.vote_learning_kept_interval)
    return f"{said} ({low} to {high}); as good as ideal arithmetic: {ANSWERED[answer_of(by_vote)]}."


def _cost(results: Results, arm: ArmSummary) -> str:
    """What a sample costs where events are known; of results of an earlier version what its ledger says of an update."""
    if arm.energy is None:
        return ""
    if not arm.energy.known:
        return f" What an update costs is not known: {PULSE_UNKNOWN}."
    if (known := a_sample_costs(results).get(arm.arm)) is not None:
        return f" {known}"
    device = joules(arm.energy.update_J_per_synapse)
    whole = joules(arm.energy.update_J_per_synapse_with_periphery)
    return (
        f" One update (a mini-batch) costs at least {whole} per synapse with the array's own periphery, {device} of it "
        "in the devices; `neurosim energy` tells which part is assumed."
    )


def cautions(results: Results) -> list[str]:
    """Say what a reader must know before trusting the intervals and shares."""
    found = []
    ideal = results.ideal
    if results.seeds < 2:
        found.append(
            f"One seed: the intervals are those of a share counted on {results.data.test_images} images, for this very "
            "chip; nothing is known about other chips."
        )
    else:
        found.append(
            f"The intervals are {intervals(results)}; gaps are paired by seed and by image; that of the baseline, a "
            "single run, is of its images alone."
        )
    if ideal and ideal.accuracy_mean - ideal.untrained_accuracy_mean < LITTLE:
        gain = percent(ideal.accuracy_mean - ideal.untrained_accuracy_mean)
        found.append(
            f"Learning moves the linear readout by only {gain} points in ideal arithmetic, so the share kept by "
            "readout says little here; judge by the vote."
        )
    if results.device_arms:
        found.append(
            "Share of learning kept: what the device gains over its own untrained array, divided by what "
            "ideal arithmetic gains over its untrained weights."
        )
    return found


def intervals(study: Results) -> str:
    """Say which 95 % intervals the study gives."""
    chips = f"{study.seeds} chip{'' if study.seeds == 1 else 's'}"
    if study.earlier:
        several = f"95 % {study.earlier} intervals over {study.seeds} seeds"
        return several if study.seeds > 1 else "95 % Wilson intervals, one run"
    return f"95 % intervals for new {'chips and new ' if study.seeds > 1 else ''}images, from {chips}"


def mcnemar(arm: ArmSummary, score: str) -> str:
    """Return McNemar's test of these very chips: images that ideal : device alone got right, and how sure that is."""
    return split([test.model_dump() for test in arm.mcnemar.get(score, ())])


def split(tests: Sequence[dict[str, Any]]) -> str:
    """Return McNemar's tests of several seeds in words; a dash where there are none."""
    if not tests:
        return NOTHING
    counts = f"{sum(test['ideal_only'] for test in tests)} : {sum(test['device_only'] for test in tests)}"
    if len(tests) > 1:
        sure = sum(test["p_value"] < SURE for test in tests)
        return f"{counts}, p < {SURE} in {sure} of {len(tests)} seeds"
    p_value = tests[0]["p_value"]
    return f"{counts}, p < 0.001" if p_value < 0.001 else f"{counts}, p = {number(p_value, 3)}"


def mcnemar_explained(results: Results) -> str:
    """Say what the two counts of McNemar's test are and what its p-value can tell."""
    summed = ", summed over seeds" if results.seeds > 1 else ""
    return (
        f"Ideal arithmetic and device answer the same {results.data.test_images} images: the first count is how "
        f"many only ideal arithmetic gets right, the second how many only the device does{summed}; p is the "
        "probability of a split at least as uneven if both were equally good (McNemar's exact test). It is of these "
        "chips alone, and only their images are left to chance: these may differ for sure while the gap of all chips "
        "is not told apart from zero. Of other chips the interval of the gap tells."
    )


def tied(sentence: str) -> str:
    """Return a sentence whose numbers do not part from their units at the end of a line."""
    return re.sub(r"(?<=\d) (?=%|[a-zµ]?J\b|points\b)", "\u00a0", sentence)


def mean_of(values: list[float | None], decimals: int) -> str:
    """Return the mean of those values that exist."""
    known = [value for value in values if value is not None]
    return number(sum(known) / len(known), decimals) if known else NOTHING
