"""The study of spiking layers: resumed to the same bits, looked at without a trace, compared, refused, shown, asked as a learner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from capability_helpers import timeless
from helpers import PCM, killed_and_resumed
from typer.testing import CliRunner

import neurosim as ns
from neurosim import LIF, AssignedNeurons, IdealArray, Soft, SpikesArm, SpikesExperiment, SpikingLayer
from neurosim.cli import app
from neurosim.report.page import figures_of, write_page
from neurosim.rules import SpikingSoftHebb, WindowStdp
from neurosim.study.fields import with_setting
from neurosim.study.run import study
from neurosim.study.store import read_arrays

pytestmark = pytest.mark.filterwarnings("ignore::neurosim.core.cautions.Caution")

SMALL: dict[str, Any] = {
    "train_images": 80, "test_images": 30, "neurons": 10, "batch": 20, "shown_s": 0.06, "curve_images": 30,
    "readout_epochs": 1,
}  # fmt: skip
EXACT, CHIP = SpikesArm(name="ideal"), SpikesArm(name="chip", device=PCM, mode="online")
STILL = SpikesArm(name="ideal, still", learns=False), SpikesArm(name="chip, still", device=PCM, learns=False)
SOFT = SpikesArm(
    name="soft", rule="spiking-softhebb", neuron=LIF(gain_mV=0.3), inhibition=Soft(temperature_mV=0.5)
)
ARMS = {"ideal": EXACT, "chip": CHIP, "soft": SOFT}


def experiment(*arms: SpikesArm, **settings: Any) -> SpikesExperiment:
    return SpikesExperiment(**{**SMALL, **settings}, arm=arms)


def training(arm: SpikesArm, **settings: Any) -> Any:
    spec = experiment(arm, **settings)
    return spec.training(spec.arms()[0], 0, spec.data())


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Folder and results of arms that learn, their controls, and one whose winners are drawn; no test changes them."""
    out = tmp_path_factory.mktemp("compared")
    return out, study(experiment(EXACT, CHIP, *STILL, SOFT, seeds=2, curve_points=2), out)


@pytest.mark.parametrize("name", ARMS)
def test_killed_and_resumed_it_ends_in_the_same_bits_and_pictures(name: str, tmp_path: Path) -> None:
    whole, resumed = killed_and_resumed(lambda: training(ARMS[name], curve_points=4), tmp_path, at=2)
    assert timeless(whole.result()) == timeless(resumed.result())
    for folder, each in (("whole", whole), ("resumed", resumed)):
        (tmp_path / folder).mkdir()
        each.keep_beside(tmp_path / folder)
    pictures = [read_arrays(tmp_path / folder / f"pictures-{name}.npz") for folder in ("whole", "resumed")]
    assert_same(*pictures)
    assert {f"fields.{images}" for images in (0, 20, 40, 60, 80)} <= pictures[0].keys()


@pytest.mark.parametrize("name", ARMS)
def test_looks_and_pictures_leave_no_trace(name: str, tmp_path: Path) -> None:
    blind, seen = training(ARMS[name], curve_points=0), training(ARMS[name], curve_points=4)

    def look() -> None:
        if seen.steps == 2:
            seen.result()
            seen.keep_beside(tmp_path)

    blind.run()
    seen.run(save=look)
    assert not blind.curve
    assert [images for images, *_ in seen.curve] == [0, 20, 40, 60, 80]
    assert_same(blind.snapshot(), seen.snapshot())
    assert not np.array_equal(blind.drawn["fields.0"], blind.layer.array.weights()), "it has learnt"


def test_arms_of_one_seed_see_the_same_spikes(compared: tuple[Path, dict[str, Any]]) -> None:
    out, results = compared
    seen = {(run["arm"], run["seed"]): run["spikes"]["inputs"] for run in results["runs"]}
    assert len(set(seen.values())) == 2
    assert seen["ideal", 0] != seen["ideal", 1]
    came = []
    for arm in ("ideal", "chip", "soft"):
        raster = read_arrays(out / f"pictures-{arm}.npz")["raster"]
        came.append(raster[raster[:, 1] == 0])
    assert len(came[0]) > 20
    np.testing.assert_array_equal(came[0], came[1])
    np.testing.assert_array_equal(came[0], came[2])


def test_a_control_starts_and_ends_with_the_same_weights_and_its_thresholds_adapt() -> None:
    still, learnt = training(STILL[0]), training(EXACT)
    start = still.layer.array.weights().copy()
    for each in (still, learnt):
        each.run()
    np.testing.assert_array_equal(still.layer.array.weights(), start)
    assert not np.array_equal(learnt.layer.array.weights(), start)
    assert still.layer.raised_mV.max() > 0
    assert still.layer.spikes[0] == learnt.layer.spikes[0]


def test_the_verdict_takes_the_controls(compared: tuple[Path, dict[str, Any]]) -> None:
    chip = {entry["score"]: entry for entry in compared[1]["summary"] if entry["arm"] == "chip"}
    for entry in chip.values():
        assert entry["compared_with"] == ["ideal", "chip, still", "ideal, still"]
        assert entry["verdict"]["answer"] in ("yes", "less", "no", "undecided")
    runs = {(run["arm"], run["seed"]): run for run in compared[1]["runs"]}
    gaps = [runs["ideal", seed]["accuracy"] - runs["chip", seed]["accuracy"] for seed in (0, 1)]
    assert chip["accuracy"]["gap_to_ideal_mean"] == pytest.approx(np.mean(gaps))


class TestReport:
    def test_figures_and_tables_are_there(self, compared: tuple[Path, dict[str, Any]]) -> None:
        out, results = compared
        drawn = {name for name, one in figures_of(results, out).items() if one.figure is not None}
        assert drawn == {"curves", "fields", "image", "neurons", "winners"}
        page = write_page(out, json.loads(json.dumps(results))).read_text(encoding="utf-8")
        page = page.replace("\u00a0", " ")
        for words in (
            "Fields as they form", "One image, as it is answered", "Who wins, and who should", "As good as ideal arithmetic",
            "a linear readout of its spike counts has", "spike of an input", "spike of a neuron", "with periphery, prices",
            "neurosim spikes EXPERIMENT.toml",
        ):  # fmt: skip
            assert words in page, words

    def test_where_nobody_is_drawn_no_winners_are_shown(self, tmp_path: Path) -> None:
        results = study(experiment(EXACT), tmp_path)
        assert figures_of(results, tmp_path)["winners"].figure is None

    def test_without_pictures_curves_and_tables_are_left(
        self, compared: tuple[Path, dict[str, Any]], tmp_path: Path
    ) -> None:
        drawn = figures_of(compared[1], tmp_path)
        assert {name for name, one in drawn.items() if one.figure is not None} == {"curves"}
        assert set(ns.Results(compared[1]).plot()) == {"curves"}
        assert "fields" not in write_page(tmp_path, compared[1]).read_text(encoding="utf-8").lower()

    def test_joules_of_spikes_are_shares_of_those_of_learning(
        self, compared: tuple[Path, dict[str, Any]]
    ) -> None:
        from neurosim.energy.bill import joules_text
        from neurosim.report.spikes import costs_table
        from neurosim.study.priced import ON_A_PAGE, priced

        _, results = compared
        table = costs_table(results)
        assert table is not None
        columns = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
        each = next(one for one in priced(results, [ON_A_PAGE]) if one.arm == "chip")
        spikes = np.mean([run["spikes"]["inputs"] for run in results["runs"] if run["arm"] == "chip"])
        place = columns["of each"].index("spike of an input")
        assert columns["arm"][place - 1 : place + 1] == ["chip", ""]
        assert columns["joules"][place] == joules_text(each.bill.learnt().joules / spikes)
        assert " to " in columns["range"][place]


class TestExpectedWins:
    @pytest.mark.parametrize("neuron", [LIF(gain_mV=0.4), LIF(gain_mV=1.0, synapse_s=5e-3)])
    def test_are_what_the_softmax_gives_in_the_mean(self, neuron: LIF) -> None:
        rng = np.random.default_rng(2)
        array = IdealArray((20, 5), "float64")
        array.program(rng.random((20, 5)))
        layer = SpikingLayer(array, SpikingSoftHebb(), neuron, Soft(temperature_mV=0.5), seed=3)
        shown = layer.present(layer.trains(rng.random(20).astype(np.float32), 20.0), learn=False, record=True)
        expected = layer.expected_wins(shown.potentials)
        assert expected.sum() == pytest.approx(0.1 * 20_000)
        assert expected.max() > 1.2 * expected.min(), "potentials differ"
        assert (np.abs(shown.counts - expected) < 4.5 * np.sqrt(expected)).all()

    def test_are_refused_where_thresholds_decide(self) -> None:
        layer = SpikingLayer(IdealArray((3, 2)), WindowStdp(), LIF())
        with pytest.raises(ns.errors.CapabilityError, match="give Soft"):
            layer.expected_wins(np.zeros((1, 2)))


class TestAssignedNeurons:
    COUNTS = np.array([[3, 0, 0], [2, 0, 0], [0, 1, 0], [0, 2, 0], [1, 4, 0]])

    def test_are_a_linear_readout(self) -> None:
        neurons = AssignedNeurons(self.COUNTS, [1, 1, 0, 0, 0], 2)
        np.testing.assert_array_equal(neurons.classes, [1, 0, -1])
        assert neurons.used == 2
        again = AssignedNeurons.of(neurons.weight, neurons.bias)
        asked = np.array([[5, 1, 9], [1, 5, 0], [0, 0, 7]])
        np.testing.assert_array_equal(neurons.predict(asked), [1, 0, 0])
        np.testing.assert_array_equal(again.predict(asked), [1, 0, 0])
        np.testing.assert_array_equal(again.classes, neurons.classes)
        assert again.used == 2

    def test_without_a_spike_the_commonest_class_answers(self) -> None:
        neurons = AssignedNeurons(self.COUNTS, [1, 1, 1, 0, 0], 3)
        np.testing.assert_array_equal(neurons.predict(np.zeros((1, 3))), [1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"highest_Hz": 2000.0}, "more than one spike in each step of dt_s = 0.001; take shorter steps"),
        ({"start": (0.5, 0.1)}, "start: its ends are 0.5 and 0.1; give the lower one first"),
        ({"seconds_per_update": 1.0}, "seconds_per_update has no meaning here: .* give shown_s and pause_s"),
        ({"neuron": {"kind": "lifs"}}, "kind = 'lifs': must be one of lif, izhikevich"),
        ({"inhibition": {"kind": "mild"}}, "kind = 'mild': must be one of hard, soft, circuit"),
        ({"rule": "window-stpd"}, "unknown spike rule 'window-stpd'; did you mean 'window-stdp'"),
        ({"rule_options": {"rate": 1}}, "rule_options: unknown key 'rate'; did you mean"),
        ({"rule": "spiking-softhebb"}, "learns from winners that a softmax draws: give inhibition 'soft'"),
        ({"arm": [{"name": "a", "neurons": {"gain_spread": 0.1}}]}, "give the arm a neuron of its own"),
        ({"arm": [{"name": "a", "backend": "torch"}]}, "spikes are followed by numba alone; leave it out"),
        (
            {"arm": [{"name": "a", "device": PCM, "read": {"adc_bits": 8}}]},
            "read.adc_bits: a spiking column's current flows into its neuron, .*; leave it out",
        ),
        ({"arm": [{"name": "a", "device": PCM, "read": {"encoding": "pulse-width"}}]}, "read.encoding"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_work_with_its_remedy(
    settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ns.NeurosimError, match=words):
        SpikesExperiment.parse({**SMALL, **settings}, "test").check()


OWN_RULE = """
import numpy as np
from neurosim import LocalUpdate
from neurosim.rules import SpikeRule


class Up(SpikeRule):
    name = "up"
    by: float = 0.1

    def __call__(self, seen, state):
        return LocalUpdate(np.ones((1, seen.trace.size)), self.by * seen.spiked[None].astype(float))
"""


def test_a_rule_of_ones_own_learns_and_is_swept(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN_RULE, encoding="utf-8")
    spec = experiment(EXACT, rule=f"{tmp_path / 'my.py'}:Up", rule_options={"by": 0.01})
    learnt = spec.training(spec.arms()[0], 0, spec.data())
    start = learnt.layer.array.weights().copy()
    learnt.run()
    gained = (learnt.layer.array.weights() - start)[0]
    assert gained.max() > 0
    spikes = np.round(gained / 0.01)
    np.testing.assert_allclose(gained, 0.01 * spikes, atol=1e-5)
    assert spikes.sum() == learnt.layer.spikes[1]
    assert json.loads(learnt.identity)["code"], "its own text decides the bits"
    found = ns.sweep(spec, tmp_path / "o", ["experiment.shown_s=0.03,0.06"])
    assert found["blocks"]["done"] == 2


def test_settings_of_neurons_keep_their_kind_and_can_be_swept() -> None:
    """Where all of a kind's settings are as by default as well."""
    for kind in (ns.Soft, ns.Circuit, ns.Hard):
        (arm,) = experiment(SpikesArm(name="ideal", inhibition=kind())).changed(epochs=2).arms()
        assert type(arm.inhibition) is kind
    spec = experiment(EXACT, CHIP, epochs=1)
    with pytest.raises(ns.NeurosimError, match="arm soft has its own inhibition; leave it out there"):
        with_setting(experiment(SOFT), "inhibition.silence_s", 0.1)
    with pytest.raises(ns.NeurosimError, match="arm ideal has no neuron of its own"):
        with_setting(spec, "arm.neuron.gain_mV", 0.1)
    changed = with_setting(spec, "neuron.gain_mV", 0.3)
    assert changed.neuron == spec.neuron.changed(gain_mV=0.3)


def test_what_devices_make_of_start_weights_is_asked_of_those_of_the_arm() -> None:
    """The window is told in rms of the start weights; of uniform ones that is sqrt((a a + a b + b b) / 3)."""
    own = CHIP.changed(name="own", start=(0.2, 0.8))
    spec = experiment(CHIP, own)
    found = spec.holding(spec.data())
    for name, (low, high) in {"chip": (0.1, 0.5), "own": (0.2, 0.8)}.items():
        rms = np.sqrt((low * low + low * high + high * high) / 3)
        assert found[name][0]["window"] == pytest.approx(1 / rms, rel=1e-6)


def test_left_alone_and_learnt_on() -> None:
    results = study(experiment(CHIP, then_aged_s=1e6))
    (aged,) = results["aged"]
    assert aged["seconds"] == 1e6
    assert {"learnt_mean", "aged_mean", "learnt_on_mean"} <= aged.keys()


FILE = """
kind = "spikes"
dataset = "digits"
train_images = 60
test_images = 20
neurons = 8
batch = 20
shown_s = 0.05
readout_epochs = 1
curve_points = 1
curve_images = 20
device = ["pcm-nandakumar-2018"]
arm = [{name = "ideal"}]
"""


def test_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "e.toml").write_text(FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> str:
        found = CliRunner().invoke(app, words)
        assert found.exit_code == 0, (words, found.output, found.exception)
        return found.output

    assert "spike of an input" in "".join(called("spikes", "e.toml", "--out", "o").split("  "))
    assert {"report.html", "results.json", "curves.svg", "fields.svg", "image.svg", "neurons.svg"} <= {
        file.name for file in Path("o").iterdir()
    }
    page = Path("o/report.html").read_bytes()
    Path("o/report.html").unlink()
    called("report", "o")
    assert Path("o/report.html").read_bytes() == page
    assert "joules" in called("energy", "o")
    assert "estimated from the first" in called("energy", "e.toml")
    assert "write error" in called("spikes", "e.toml", "--holding")
    assert "accuracy" in called("run", "e.toml", "--out", "r")
    called("spikes", "e.toml", "--out", "v", "--vary", "neuron.gain_mV=0.1,0.2", "--arm", PCM)
    swept = json.loads(Path("v/sweep.json").read_text())
    assert {point["neuron.gain_mV"] for point in swept["points"]} == {0.1, 0.2}
    assert "accuracy_linear_mean" in swept["points"][0]
