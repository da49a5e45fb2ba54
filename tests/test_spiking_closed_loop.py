"""The whole loop against brian2: inputs, neurons, inhibition, thresholds that adapt, plasticity; spike for spike."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers import FINE, PCM, slow_unless

import neurosim as ns
from neurosim import LIF, Circuit, Hard, IdealArray, Izhikevich, Soft, SpikingLayer, given_trains
from neurosim.core.errors import CapabilityError, CheckpointError, InputError
from neurosim.rules import PairStdp, SpikingSoftHebb, WindowStdp
from neurosim.spiking import brian_bridge, brian_network
from neurosim.spiking.brian_equations import equations_of
from neurosim.spiking.brian_script import export_script
from neurosim.spiking.loop import TraceRule
from neurosim.spiking.synapses import DeviceSynapses

pytest.importorskip("brian2", reason="brian2, of the extra 'spiking', is not installed")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning"),  # pyparsing's, of brian2
    pytest.mark.filterwarnings("ignore:.*has no retention data"),
]

SHAPE, STEPS, DT_S = (50, 10), 400, 0.5e-3
WEIGHTS = np.random.default_rng(2).uniform(0.1, 0.5, SHAPE)
FORGETS = WindowStdp(forgets=True, learning_rate=0.05)
AT_ONCE = LIF(threshold_mV=-62, gain_mV=1.0, adaptation_mV=0.2, adaptation_s=0.1)
CURRENT = LIF(threshold_mV=-62, gain_mV=2.0, synapse_s=5e-3, adaptation_mV=0.2, target_Hz=20.0)
CONDUCTANCE = LIF(
    threshold_mV=-62, gain_mV=0.03, synapse_s=5e-3, conductance=True, adaptation_mV=0.2, adaptation_s=0.1
)
FORMS = {"at once": AT_ONCE, "current": CURRENT, "conductance": CONDUCTANCE}


def inputs(seed=1, rate_Hz=60.0):
    """200 ms of Poisson spikes."""
    return given_trains(np.random.default_rng(seed).random((STEPS, SHAPE[0])) < rate_Hz * DT_S)


def ideal():
    array = IdealArray(SHAPE, "float64")
    array.program(WEIGHTS)
    return array


def devices(card, **read):
    """An array whose writes have all their noise, and whose reads have none."""
    array = ns.Crossbar(SHAPE, card, seed=3, precision="float64", read={"read_noise": None, **read})
    array.program(WEIGHTS, w_max=1.0)
    return array


def layer(array, rule, neuron, inhibition, **options):
    return SpikingLayer(array, rule, neuron, inhibition, dt_s=DT_S, seed=5, **options)


def both(array, rule, neuron, inhibition, trains=None, equations=False, compiled=False, **options):
    """The same presentation by our loop and by brian2: (layer, shown) of each."""
    trains = trains or inputs()
    ours, theirs = (layer(array(), rule, neuron, inhibition, **options) for _ in range(2))
    seen = ours.present(trains, record=True)
    drawn = seen.raster[seen.raster[:, 1] == 1][:, [0, 2]] if isinstance(inhibition, Soft) else None
    return (ours, seen), (
        theirs,
        brian_network.present(theirs, trains, equations=equations, winners=drawn, compiled=compiled),
    )


def assert_same(one, other, potential_mV=1e-9, weight=1e-9):
    (ours, seen), (theirs, found) = one, other
    np.testing.assert_array_equal(found.raster, seen.raster)
    np.testing.assert_array_equal(found.counts, seen.counts)
    assert np.abs(found.potentials - seen.potentials).max() < potential_mV
    assert np.abs(theirs.array.weights() - ours.array.weights()).max() <= weight
    assert np.abs(theirs.raised_mV - ours.raised_mV).max() < 1e-9
    assert (theirs.presented, theirs.steps) == (ours.presented, ours.steps) or theirs.steps == 0
    np.testing.assert_array_equal(theirs.spikes, ours.spikes)


@pytest.mark.parametrize("form", [slow_unless(form in ("at once", "conductance"), form) for form in FORMS])
@pytest.mark.parametrize("inhibition", [Hard(), Circuit()], ids=["hard", "circuit"])
def test_every_spike_is_that_of_equations_of_brian2_alone(form, inhibition):
    """Neurons, thresholds, inhibition and plasticity are brian2's; nothing of ours is called but who wins."""
    one, other = both(ideal, FORGETS, FORMS[form], inhibition, equations=True)
    assert_same(one, other)
    ours, seen = one
    kinds = np.bincount(seen.raster[:, 1], minlength=3)
    assert kinds[0] > 500
    assert kinds[1] >= 12
    assert (kinds[2] > 0) == isinstance(inhibition, Circuit)
    assert np.abs(ours.array.weights() - WEIGHTS).max() > 0.3
    assert (ours.raised_mV > 0).any()


@pytest.mark.parametrize("form", [slow_unless(form == "current", form) for form in FORMS])
def test_our_rule_and_our_array_learn_in_the_network_of_brian2(form):
    """Winners are those of steps in which several neurons are over their thresholds."""
    alone = layer(ideal(), FORGETS, FORMS[form], None).present(inputs(), record=True)
    neurons = alone.raster[alone.raster[:, 1] == 1]
    assert np.bincount(neurons[:, 0]).max() >= 3
    assert_same(*both(ideal, FORGETS, FORMS[form], Hard()))


@pytest.mark.parametrize(
    ("rule", "equations"),
    [
        pytest.param(PairStdp(learning_rate=0.02), True, id="pair, equations"),
        pytest.param(WindowStdp(down=0.5), False, id="window, ours"),
        pytest.param(PairStdp(learning_rate=0.02), False, id="pair, ours", marks=pytest.mark.slow),
        pytest.param(WindowStdp(down=0.5), True, id="window, equations", marks=pytest.mark.slow),
    ],
)
def test_rules_that_learn_at_inputs_and_that_do_not_forget(rule, equations):
    one, other = both(ideal, rule, CURRENT, None, equations=equations)
    assert_same(one, other)
    assert one[1].counts.sum() > 100


@pytest.mark.parametrize(
    ("neuron", "inhibition"),
    [
        (AT_ONCE.model_copy(update={"refractory_s": 2.3e-3}), Hard(silence_s=0.7e-3)),
        (AT_ONCE.model_copy(update={"refractory_s": 0.0}), Circuit(refractory_s=6e-3)),
        (CURRENT.model_copy(update={"refractory_s": 8e-3}), Hard(silence_s=2e-3)),
        (CONDUCTANCE.model_copy(update={"refractory_s": 0.2e-3}), None),
    ],
)
def test_refractory_times_and_silences_of_any_length(neuron, inhibition):
    """Shorter than a step, none, between two steps, and silences shorter than refractory times; with inhibiting weights."""

    def array():
        made = IdealArray(SHAPE, "float64")
        made.program(np.random.default_rng(3).uniform(-0.3, 0.6, SHAPE))
        return made

    one, other = both(array, FORGETS, neuron, inhibition, inputs(rate_Hz=150.0), equations=True)
    assert_same(one, other)
    assert one[1].counts.sum() > 20


@pytest.mark.parametrize("card", [pytest.param(FINE, marks=pytest.mark.slow), PCM])
@pytest.mark.parametrize(
    ("rule", "inhibition", "options"),
    [
        (WindowStdp(one_pulse=True), Hard(), {}),
        (WindowStdp(learning_rate=0.05, forgets=True), Circuit(), {"mode": "mixed"}),
        (PairStdp(learning_rate=0.02), Hard(), {"update_every_s": 10e-3}),
    ],
    ids=["window", "forgets", "pair"],
)
def test_devices_learn_in_the_network_of_brian2(card, rule, inhibition, options):
    """Every spike, every pulse and every joule: what a pulse does is the device's, in both."""
    one, other = both(lambda: devices(card), rule, AT_ONCE, inhibition, **options)
    assert_same(one, other)
    ours, theirs = one[0].array, other[0].array
    np.testing.assert_array_equal(ours.worn, theirs.worn)
    assert ours.worn.sum() > 100
    assert theirs.ledger.update_J == pytest.approx(ours.ledger.update_J, rel=1e-12)
    assert theirs.ledger.read_J == pytest.approx(ours.ledger.read_J, rel=1e-12)
    assert theirs.now_s == ours.now_s > 0
    assert np.abs(ours.weights() - devices(card).weights()).max() > 0.1


def test_a_second_presentation_goes_on_where_the_first_ended():
    """Thresholds, devices, their clock, and the random numbers of pulses."""
    ours, theirs = (layer(devices(PCM), WindowStdp(one_pulse=True), AT_ONCE, Hard()) for _ in range(2))
    for seed in (1, 2):
        seen = ours.present(inputs(seed), record=True, pause_s=0.05)
        found = brian_network.present(theirs, inputs(seed), pause_s=0.05)
    assert_same((ours, seen), (theirs, found))
    assert ours.presented == 2


def test_a_look_in_brian2_leaves_no_trace():
    ours, theirs = (layer(ideal(), FORGETS, AT_ONCE, Circuit()) for _ in range(2))
    for made in (ours, theirs):
        made.raised_mV[:] = 0.5
    seen = ours.present(inputs(), learn=False, record=True)
    found = brian_network.present(theirs, inputs(), learn=False)
    assert_same((ours, seen), (theirs, found))
    np.testing.assert_array_equal(theirs.array.weights(), WEIGHTS)
    np.testing.assert_array_equal(theirs.raised_mV, 0.5)


@pytest.mark.parametrize(
    "inhibition",
    [None, pytest.param(Hard(), marks=pytest.mark.slow), pytest.param(Circuit(), marks=pytest.mark.slow)],
    ids=["free", "hard", "circuit"],
)
def test_izhikevich_neurons_learn_the_same(inhibition):
    """Potentials agree less closely: the upstroke of a spike multiplies every rounding by the height of its last step."""
    one, other = both(ideal, FORGETS, Izhikevich(gain=3.0), inhibition, equations=True)
    assert_same(one, other, potential_mV=1e-6)
    assert one[1].counts.sum() >= 12


@pytest.mark.parametrize(
    ("a", "c_mV", "d", "steps"),
    [
        (0.02, -65, 8, 600),
        pytest.param(0.02, -55, 4, 600, marks=pytest.mark.slow),
        pytest.param(0.02, -50, 2, 600, marks=pytest.mark.slow),
        (0.1, -65, 2, 240),
    ],
    ids=["RS", "IB", "CH", "FS"],
)
def test_izhikevich_neurons_on_a_step_of_current_spike_as_in_brian2(a, c_mV, d, steps):
    """Fast spiking multiplies a rounding by about eight at each spike, whatever the step: after 30 nothing is left in common."""
    made = layer(IdealArray((1, 1), "float64"), FORGETS, Izhikevich(a=a, c_mV=c_mV, d=d), None)
    made.bias_mV[:] = 10.0
    trains = given_trains(np.zeros((steps, 1), bool))
    seen, found = made.present(trains, False, True), brian_network.present(made, trains, False)
    np.testing.assert_array_equal(found.raster, seen.raster)
    assert np.abs(found.potentials - seen.potentials).max() < 1e-3
    assert seen.counts[0] >= 7


def test_winners_by_draw_are_given_to_brian2():
    """SoftHebb by spikes: the answers at which neurons stood when the winner was drawn are brian2's own."""
    one, other = both(ideal, SpikingSoftHebb(), LIF(gain_mV=0.5), Soft(rate_Hz=200.0))
    assert_same(one, other, weight=1e-6)
    assert one[1].counts.sum() > 20
    assert np.abs(one[0].array.weights() - WEIGHTS).max() > 0.05
    with pytest.raises(CapabilityError, match="draws its winners"):
        brian_network.build(other[0], inputs())
    with pytest.raises(InputError, match="winners: expected"):
        brian_network.build(other[0], inputs(), winners=[1, 2])


def test_the_referee_sees_one_step_of_refractory_time():
    """What brian2 is asked for comes from the settings, not from our numbers for a step."""
    trains = inputs()
    wrong, right = (layer(ideal(), FORGETS, AT_ONCE, None) for _ in range(2))
    wrong.constants = wrong.constants._replace(refractory=wrong.constants.refractory + 1)
    seen, found = wrong.present(trains, record=True), brian_network.present(right, trains, equations=True)
    assert seen.raster.shape != found.raster.shape or (seen.raster != found.raster).any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("inhibition", "equations"), [(Hard(), False), (Circuit(), True)], ids=["hard", "circuit"]
)
def test_compiled_code_of_brian2_gives_the_same_spikes(inhibition, equations, tmp_path):
    import brian2

    codegen = brian2.prefs.codegen
    before = codegen.target, codegen.runtime.cython.cache_dir
    codegen.target, codegen.runtime.cython.cache_dir = "cython", str(tmp_path)
    try:
        assert_same(*both(ideal, FORGETS, CURRENT, inhibition, equations=equations, compiled=True))
    finally:
        codegen.target, codegen.runtime.cython.cache_dir = before
    assert any(tmp_path.iterdir()), "compiled"


def test_read_noise_has_the_same_mean_and_variance():
    """A potential that forgets between volleys of all inputs: 800 of them, over 10 columns, by ours and by brian2's normals."""
    array = devices(PCM, read_noise="card")
    lines = array.spike_lines()
    assert (lines.variance > 0).all()
    made = layer(array, FORGETS, LIF(membrane_s=0.1e-3, threshold_mV=1e3), None)
    trains = given_trains(np.tile(np.arange(3200)[:, None] % 4 == 0, SHAPE[0]))
    import brian2

    brian2.seed(7)
    mean = (lines.current / lines.scale).sum(axis=0) - 65
    variance = (lines.variance / lines.scale**2).sum(axis=0)
    for shown in (made.present(trains, False, True), brian_network.present(made, trains, False)):
        v = shown.potentials[::4]
        assert (np.abs(v.mean(axis=0) - mean) < 5 * np.sqrt(variance / len(v))).all()
        assert (np.abs(v.var(axis=0) / variance - 1) < 5 * np.sqrt(2 / len(v))).all()
        between = np.corrcoef(v.T)[np.triu_indices(SHAPE[1], 1)]
        assert np.abs(between).max() < 5 / np.sqrt(len(v))


def neurons_of_ones_own(made):
    """Two-compartment neurons that no setting of ours describes, joined to inputs by the layer's array: network, spikes."""
    import brian2 as b2

    clock = b2.Clock(DT_S * b2.second)
    trains = inputs()
    source = b2.SpikeGeneratorGroup(
        SHAPE[0], trains.line, brian_network.steps_of(trains) * DT_S * b2.second, clock=clock
    )
    target = b2.NeuronGroup(
        SHAPE[1],
        "dv/dt = (dendrite - v) / (10*ms) : volt (unless refractory)\ndendrite : volt",
        threshold="v > 3*mV",
        reset="v = 0*mV",
        refractory=3 * b2.ms,
        method="exact",
        clock=clock,
    )
    target.run_regularly("dendrite *= 0.95", when="start")
    synapses, others = brian_network.connect(made, source, target, "dendrite_post += arriving * 2 * mV")
    spikes = b2.SpikeMonitor(target)
    return b2.Network(source, target, synapses, *others, spikes), spikes, synapses


@pytest.mark.parametrize(
    "rule",
    [pytest.param(WindowStdp(one_pulse=True), marks=pytest.mark.slow), PairStdp(learning_rate=0.02)],
    ids=["window", "pair"],
)
def test_neurons_of_ones_own_learn_on_an_array_and_all_of_it_is_stored(rule, tmp_path):
    """brian2's store and restore know the array, too: run on from there twice, to the same bits, from memory or a file."""
    import brian2 as b2

    made = layer(devices(PCM), rule, LIF(), None)
    start = made.array.weights()
    with brian_bridge.without_compiler():
        network, spikes, synapses = neurons_of_ones_own(made)
        network.run(100 * b2.ms)
        network.store("half", filename=str(tmp_path / "half"))
        network.store("half")
        half = made.snapshot()
        network.run(100 * b2.ms)
        end, counted = made.snapshot(), spikes.num_spikes
        assert counted > 30
        assert any((half[name] != end[name]).any() for name in half if "conductance" in name)
        for file in (None, str(tmp_path / "half")):
            network.restore("half", filename=file)
            for name, values in half.items():
                assert made.snapshot()[name].tobytes() == values.tobytes(), name
            network.run(100 * b2.ms)
            for name, values in end.items():
                assert made.snapshot()[name].tobytes() == values.tobytes(), name
            assert spikes.num_spikes == counted
    w = np.empty(SHAPE)
    w[synapses.i[:], synapses.j[:]] = synapses.w[:]
    lines = made.array.spike_lines()
    np.testing.assert_array_equal(w, lines.current / lines.scale)
    assert np.abs(w - start).max() > 0.1
    assert made.array.ledger.read_line_cells == 2 * SHAPE[1] * len(inputs().line) * 1


def test_each_run_begins_with_the_array_as_it_is_then():
    """PCM drifts between two runs, without a pulse."""
    import brian2 as b2

    made = layer(devices(PCM), WindowStdp(), LIF(), None)
    clock = b2.Clock(DT_S * b2.second)
    source = b2.SpikeGeneratorGroup(SHAPE[0], [], [] * b2.ms, clock=clock)
    target = b2.NeuronGroup(SHAPE[1], "v : volt", threshold="v > 1*volt", clock=clock)
    with brian_bridge.without_compiler():
        synapses, others = brian_network.connect(made, source, target, "v_post += arriving * mV")
        network = b2.Network(source, target, synapses, *others)
        network.run(1 * b2.ms)
        before = synapses.w[:].copy()
        made.array.advance(1e5)
        network.run(1 * b2.ms)
    lines = made.array.spike_lines()
    np.testing.assert_array_equal(synapses.w[:].reshape(SHAPE), lines.current / lines.scale)
    assert (np.abs(synapses.w[:]) < np.abs(before)).mean() > 0.9


def test_groups_that_do_not_fit_a_layer_are_refused():
    import brian2 as b2

    made = layer(ideal(), FORGETS, LIF(), None)
    for rows, dt in ((49, DT_S), (50, 2 * DT_S)):
        clock = b2.Clock(dt * b2.second)
        source = b2.SpikeGeneratorGroup(rows, [], [] * b2.ms, clock=clock)
        target = b2.NeuronGroup(SHAPE[1], "v : 1", threshold="v > 1", clock=clock)
        with pytest.raises(InputError, match=r"joins them on one clock|the layer by dt_s"):
            brian_network.connect(made, source, target, "v_post += arriving")
    target = b2.NeuronGroup(SHAPE[1], "x : 1", threshold="x > 1", dt=DT_S * b2.second)
    source = b2.SpikeGeneratorGroup(SHAPE[0], [], [] * b2.ms, clock=target.clock)
    with pytest.raises(InputError, match="no potential v"):
        brian_network.connect(made, source, target, "x_post += arriving")


@pytest.mark.parametrize("card", [PCM, pytest.param(FINE, marks=pytest.mark.slow)])
def test_store_and_restore_cover_the_devices_of_a_bridge(card):
    """Conductances lie in brian2's memory before and after; all else of the state comes back with them."""
    import brian2 as b2

    synapses = DeviceSynapses(SHAPE, ns.devices.load(card), seed=7)
    rng = np.random.default_rng(3)
    clock = b2.Clock(DT_S * b2.second)
    groups = []
    for size, rate_Hz in zip(SHAPE, (40, 60), strict=True):
        step, line = np.nonzero(rng.random((200, size)) < rate_Hz * DT_S)
        groups.append(b2.SpikeGeneratorGroup(size, line, step * DT_S * b2.second, clock=clock))
    with brian_bridge.without_compiler():
        joined, operation = brian_bridge.connect(synapses, *groups, TraceRule())
        network = b2.Network(*groups, joined, operation)
        network.run(50 * b2.ms)
        network.store()
        half = synapses.snapshot()
        network.run(50 * b2.ms)
        end = synapses.snapshot()
        network.restore()
        assert all(values.tobytes() == half[name].tobytes() for name, values in synapses.snapshot().items())
        network.run(50 * b2.ms)
    assert all(values.tobytes() == end[name].tobytes() for name, values in synapses.snapshot().items())
    assert (half["state.conductance"] != end["state.conductance"]).any()
    assert half["events"] < end["events"]
    assert half["totals"][1] < end["totals"][1]
    assert np.shares_memory(joined.variables["conductance_uS"].get_value(), synapses.state.conductance)
    with pytest.raises(CheckpointError, match="does not fit these devices"):
        DeviceSynapses((3, 2), ns.devices.load(card)).restore(half)


@pytest.mark.parametrize(
    ("neuron", "inhibition"),
    [
        pytest.param(AT_ONCE, Hard(), id="hard", marks=pytest.mark.slow),
        pytest.param(CURRENT, Circuit(), id="circuit"),
        pytest.param(CONDUCTANCE, None, id="conductance", marks=pytest.mark.slow),
        pytest.param(Izhikevich(gain=3.0), Hard(), id="izhikevich", marks=pytest.mark.slow),
    ],
)
def test_a_script_of_brian2_alone_gives_every_spike(neuron, inhibition, tmp_path):
    made = layer(ideal(), FORGETS, neuron, inhibition)
    text = export_script(made, inputs(), tmp_path / "layer")
    assert text == (tmp_path / "layer.py").read_text(encoding="utf-8")
    assert "neurosim" not in text
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "layer.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "layer-out.npz")
    seen = made.present(inputs(), record=True)
    own = seen.raster[seen.raster[:, 1] == 1]
    order = np.lexsort((found["neuron"], found["step"]))
    np.testing.assert_array_equal(found["step"][order], own[:, 0])
    np.testing.assert_array_equal(found["neuron"][order], own[:, 2])
    assert f"{len(own)} spikes" in done.stdout
    assert np.abs(found["weights"] - made.array.weights()).max() < 1e-9


def test_a_script_of_devices_has_their_weights_and_noise_as_they_are(tmp_path):
    made = layer(devices(PCM, read_noise="card"), WindowStdp(one_pulse=True), AT_ONCE, Hard())
    with pytest.raises(CapabilityError, match="is no equation"):
        export_script(made, inputs(), tmp_path / "layer.py")
    text = export_script(made, inputs(), tmp_path / "layer.py", plastic=False)
    assert "noise * randn()" in text
    assert "on_post" not in text
    kept, lines = np.load(tmp_path / "layer.npz"), made.array.spike_lines()
    np.testing.assert_array_equal(kept["w"], lines.current / lines.scale)
    np.testing.assert_allclose(kept["noise"] ** 2, lines.variance / lines.scale**2, rtol=1e-12)
    soft = layer(ideal(), FORGETS, LIF(), Soft())
    with pytest.raises(CapabilityError, match="draws its winners"):
        export_script(soft, inputs(), tmp_path / "layer.py")


class Own(WindowStdp):
    """A rule that says otherwise what its base does."""

    def __call__(self, seen, state):
        return None


@pytest.mark.parametrize(
    ("rule", "options", "why"),
    [
        (SpikingSoftHebb(), {}, "'spiking-softhebb' is not written"),
        (Own(), {}, "not written as equations"),
        (WindowStdp(rate_updates=100), {}, "rates that fall"),
        (WindowStdp(), {"update_every_s": 0.01}, "changes that are gathered"),
    ],
)
def test_what_is_no_equation_is_refused(rule, options, why):
    inhibition = Soft() if isinstance(rule, SpikingSoftHebb) else None
    made = layer(ideal(), rule, LIF(), inhibition, **options)
    with pytest.raises(CapabilityError, match=why):
        equations_of(made, plastic=True)


def test_a_membrane_as_slow_as_its_synapse_is_refused():
    made = layer(ideal(), FORGETS, LIF(membrane_s=5e-3, synapse_s=5e-3), None)
    with pytest.raises(CapabilityError, match="divides by their difference"):
        equations_of(made)
