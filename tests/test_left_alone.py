"""Chips that are left alone after a study and learn on: nothing before depends on it, and what comes is what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurosim import (
    DeepArm,
    DeepExperiment,
    DenseExperiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
    MortalExperiment,
)
from neurosim.core.errors import ConfigError
from neurosim.report.aged import aged_curves, aged_sentence, aged_table
from neurosim.report.html import write_report
from neurosim.study.run import study
from neurosim.study.store import write_json
from neurosim.study.swept import planned

PCM = "pcm-nandakumar-2018"
YEAR = 31_536_000.0
SMALL: dict[str, Any] = {"dataset": "digits", "train_images": 120, "test_images": 40}
DENSE = DenseExperiment(
    **SMALL, neurons=10, readout_epochs=1, device=(PCM,), seeds=2, curve_points=3, mode="mixed"
)


def without_clock(found: Any) -> Any:
    """Results without what a clock measured."""
    if isinstance(found, dict):
        return {name: without_clock(value) for name, value in found.items() if "seconds" not in name}
    return [without_clock(each) for each in found] if isinstance(found, list) else found


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("left")
    return out, study(DENSE.changed(then_aged_s=YEAR), out)


def test_nothing_before_depends_on_it(left: tuple[Path, dict[str, Any]]) -> None:
    plain = study(DENSE)
    found = left[1]
    assert "aged" not in plain
    for one, other in zip(plain["runs"], found["runs"], strict=True):
        rest = {name: value for name, value in other.items() if name != "aged"}
        assert without_clock(one) == without_clock(rest)
    assert without_clock(plain["summary"]) == without_clock(found["summary"])


def test_kept_anew_or_without_a_folder_it_is_the_same(left: tuple[Path, dict[str, Any]]) -> None:
    """What is kept is not made again; made again from kept results or in memory it has the same bits."""
    out, found = left
    spec = DENSE.changed(then_aged_s=YEAR)
    files = sorted((out / "runs").glob("*.aged.json"))
    assert len(files) == 4
    assert not list((out / "runs").glob("*.npz")), "checkpoints of finished trainings go"
    times = [file.stat().st_mtime_ns for file in files]
    assert study(spec, out)["aged"] == found["aged"]
    assert [file.stat().st_mtime_ns for file in files] == times
    for file in files:
        file.unlink()
    assert study(spec, out)["aged"] == found["aged"] == study(spec)["aged"]
    other = study(spec.changed(then_aged_s=1.0), out)
    assert len(list((out / "runs").glob("*.aged.json"))) == 8, "another time is another file"
    assert other["summary"] == found["summary"]


def test_time_moves_devices_and_learning_goes_on(left: tuple[Path, dict[str, Any]]) -> None:
    _, found = left
    for run in found["runs"]:
        aged = run["aged"]
        assert aged["seconds"] == YEAR
        assert aged["learnt"]["accuracy"] == run["accuracy"]
        before, after = aged["courses"]
        assert [images for images, _ in before] == [images for images, _ in after]
        assert before[-1][0] == 120
        if run["arm"] == "ideal":
            assert aged["aged"] == aged["learnt"], "time passes ideal arithmetic by"
            assert after[0][1] == before[-1][1]
        else:
            assert aged["aged"] != aged["learnt"]
        assert aged["learnt_on"]["correct"] != aged["learnt"]["correct"]
    names = {entry["arm"] for entry in found["aged"]}
    assert names == {"ideal", PCM}


def test_as_by_hand() -> None:
    """The same chip left alone and trained by its own methods."""
    spec = DENSE.changed(seeds=1, then_aged_s=1e6)
    run = next(run for run in study(spec)["runs"] if run["arm"] == PCM)
    training: Any = spec.training(spec.device_arms()[0], 0, spec.data())
    training.run()
    training.layer.array.advance(1e6)
    kept = training.layer.array.snapshot()
    assert training.result()["accuracy"] == run["aged"]["aged"]["accuracy"]
    training.layer.array.restore(kept)
    before = training.layer.array.weights()
    for epoch in (1,):
        from neurosim.core.seeds import generator

        order = generator(0, "order", epoch).permutation(120)
        for batch in range(training.batches):
            training.step(order[batch * 32 : (batch + 1) * 32])
    assert not np.array_equal(training.layer.array.weights(), before)
    assert training.result()["accuracy"] == run["aged"]["learnt_on"]["accuracy"]


@pytest.mark.parametrize(
    "spec",
    [
        DeepExperiment(
            **SMALL, batch=20, width=1.0, depth=2, head_epochs=1, schedule="greedy",
            arm=(DeepArm(name="cell", device=PCM, rule="softhebb", mode="mixed"),),
        ),
        ForwardForwardExperiment(
            **SMALL, batch=20, widths=(12, 8), epochs=2, arm=(ForwardForwardArm(name="cell", device=PCM),)
        ),
    ],
    ids=["deep", "forward-forward"],
)  # fmt: skip
def test_other_kinds_can_be_left_alone_too(spec: Any) -> None:
    found = study(spec.changed(then_aged_s=YEAR))
    (entry,) = found["aged"]
    assert 0 <= entry["aged_mean"] <= 1
    (run,) = found["runs"]
    assert run["aged"]["learnt_on"]["correct"] != run["aged"]["aged"]["correct"], "rates begin anew"
    assert aged_curves(found) is not None


def test_refused_where_it_means_nothing() -> None:
    with pytest.raises(ConfigError, match="nothing can learn on"):
        MortalExperiment.parse(
            {**SMALL, "widths": (12, 8), "arm": [{"name": "a", "device": PCM}], "then_aged_s": 1.0}, "here"
        )
    with pytest.raises(ConfigError, match="axis age_s instead"):
        planned(DENSE.changed(then_aged_s=1.0), ["read_noise=0,0.1"])
    with pytest.raises(ConfigError):
        DENSE.changed(then_aged_s=0.0)


def test_page_table_and_sentence(left: tuple[Path, dict[str, Any]]) -> None:
    out, found = left
    write_json(out / "results.json", found)
    page = write_report(out).read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "Learnt, left alone, learnt on" in page
    assert f"Left alone for 1 year it has {100 * found['aged'][1]['aged_mean']:.1f} %" in page
    assert aged_sentence(found["aged"], "another") == ""
    table = aged_table(json.loads(json.dumps(found)))
    assert table is not None
    assert table.row_count == 2
    assert aged_table({"runs": []}) is None


def test_one_chip_says_nothing_of_others(left: tuple[Path, dict[str, Any]]) -> None:
    entry = {**left[1]["aged"][1], "yield": {**left[1]["aged"][1]["yield"], "chips": 1}}
    assert "Of 1,000" in aged_sentence(left[1]["aged"], entry["arm"])
    said = aged_sentence([entry], entry["arm"])
    assert said.endswith("after it has learnt as much again.")
    table = aged_table({"aged": [entry]})
    assert table is not None
    assert list(map(str, table.columns[-1].cells)) == ["one chip tells nothing of others"]
