"""Every page says what learning took: joules with periphery, range and the share assumed, and seconds, in all."""

from __future__ import annotations

from pathlib import Path

import pytest

import neurosim as ns
from neurosim.energy.bill import joules_text
from neurosim.report.energy import ON_A_PAGE, took
from neurosim.report.html import write_report
from neurosim.report.page import write_page
from neurosim.study.store import write_json

PCM = "pcm-nandakumar-2018"
TINY = {"dataset": "digits", "train_images": 60, "test_images": 40, "device": [PCM], "seeds": 2}


@pytest.fixture(scope="module")
def results() -> ns.Results:
    return ns.compare(ns.DenseExperiment(**TINY, neurons=6, readout_epochs=1, curve_points=0))


def test_the_sentence_is_the_bill_of_the_mean_run(results: ns.Results, tmp_path: Path) -> None:
    ((arm, said),) = took(results)
    runs = [run for run in results["runs"] if run["arm"] == arm]
    each = [ns.price(run["events"], ON_A_PAGE, sources=results["devices"][arm]["numbers"]) for run in runs]
    mean = sum(bill.joules for bill in each) / len(each)
    assert arm == PCM
    assert said.startswith(f"{joules_text(mean)} for the training (")
    assert "rests on assumed" in said
    assert "of array and digital time" in said
    assert "for each of 60 samples" in said
    write_json(tmp_path / "results.json", results)
    page = write_report(tmp_path).read_text()
    assert 'id="took"' in page
    assert said.split(" for the training")[0].partition(" ")[0] in page


def test_a_network_and_a_sweep_say_it_too(tmp_path: Path) -> None:
    deep = ns.ForwardForwardExperiment(
        **{**TINY, "device": []}, widths=(10, 6), epochs=1, batch=20,
        arm=(ns.ForwardForwardArm(name="a", device=PCM, mode="mixed"),),
    )  # fmt: skip
    found = ns.compare(deep)
    assert [arm for arm, _ in took(found)] == ["a"]
    assert 'id="took"' in write_page(tmp_path, found).read_text()
    spec = ns.DenseExperiment(**{**TINY, "seeds": 1}, neurons=6, readout_epochs=1, curve_points=0)
    swept = ns.sweep(spec, tmp_path / "s", ["read_noise=0,0.1"])
    assert [arm for arm, _ in took(swept)] == [PCM], "at the first point alone"


def test_every_row_of_a_table_has_its_joules(results: ns.Results, tmp_path: Path) -> None:
    swept = ns.sweep(
        ns.DenseExperiment(**TINY, neurons=6, readout_epochs=1, curve_points=0), tmp_path, ["adc_bits=4,8"]
    )
    frame = swept.to_pandas().set_index(["arm", "read.adc_bits", "seed"]).sort_index()
    for row in swept["rows"]:
        if row["arm"] != PCM:
            continue
        found = frame.loc[(PCM, row["read.adc_bits"], row["seed"])]
        bill = ns.price(row["events"], ON_A_PAGE, sources=swept["devices"][PCM]["numbers"]).learnt()
        assert found["joules"] == pytest.approx(bill.joules)
        assert found["joules_per_sample"] == pytest.approx(bill.joules / 60)
        assert found["joules_low"] < found["joules"] < found["joules_high"]
    assert frame["joules"].loc[PCM, 8].mean() > frame["joules"].loc[PCM, 4].mean()
    assert "joules" not in swept.to_pandas(None)
    table = next(sheet for sheet in swept.table().to_pandas() if "joules a sample" in sheet)
    assert sum("pJ (" in said or "nJ (" in said for said in table["joules a sample"]) == 2
    assert "joules_per_sample" in results.to_pandas()


def test_results_without_events_say_nothing(results: ns.Results) -> None:
    before = {**results, "runs": [{**run, "events": []} for run in results["runs"]]}
    assert took(before) == []
