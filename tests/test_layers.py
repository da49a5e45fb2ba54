"""Stacks of listed layers: tables, presets, files and objects are the same, layers of one's own run everywhere."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import ROOT

from neurosim import (
    DeepArm,
    DeepExperiment,
    Dense,
    ForwardForwardArm,
    ForwardForwardExperiment,
    MortalExperiment,
)
from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.core.seeds import generator
from neurosim.data import Dataset
from neurosim.network.images import ChannelNorm
from neurosim.study import layers as ns_layer
from neurosim.study.deep import DeepTraining
from neurosim.study.deep_spec import Backpropagation
from neurosim.study.fields import with_setting
from neurosim.study.forward_forward import ForwardForwardTraining
from neurosim.study.layers import PRESETS, listed
from neurosim.study.run import study
from neurosim.study.store import digest
from neurosim.study.swept import sweep

PCM, FINE = "pcm-nandakumar-2018", "ecram-li-tang-2018"
SPARSE = (ROOT / "docs" / "examples" / "sparse.py").read_text(encoding="utf-8")
SMALL: dict[str, Any] = {
    "dataset": "digits", "train_images": 60, "test_images": 40, "batch": 20, "head_epochs": 1,
}  # fmt: skip
FIRST: dict[str, Any] = {
    "neurons": 6, "kernel": 3, "pad": 1, "learning_rate": 0.08, "inverse_temperature": 1.0, "pool": "max",
    "pool_kernel": 2, "pool_stride": 2,
}  # fmt: skip
WHOLE: dict[str, Any] = {"neurons": 10, "kernel": "all", "learning_rate": 0.02, "inverse_temperature": 0.5}
FF: dict[str, Any] = {
    "dataset": "digits", "train_images": 120, "test_images": 40, "epochs": 1, "batch": 20, "curve_images": 20,
}  # fmt: skip
CELLS = DeepArm(name="cells", device=PCM, rule="softhebb", mode="mixed")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the layer of docs/your_own.md."""
    (tmp_path / "sparse.py").write_text(SPARSE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def experiment(*layers: Any, arm: Any = None, **changes: Any) -> DeepExperiment:
    arms = (DeepArm(name="exact"),) if arm is None else arm
    return DeepExperiment.parse({**SMALL, "layer": layers, "arm": arms, **changes}, "test")


def trained(spec: DeepExperiment, name: str = "exact", data: Dataset | None = None) -> DeepTraining:
    arm = next(arm for arm in spec.arms() if arm.name == name)
    training = DeepTraining(spec, arm, 0, spec.data() if data is None else data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training.run()
    return training


class TestStacksAreListed:
    def test_a_preset_and_its_layers_by_name_are_one_training(self) -> None:
        preset = DeepExperiment.parse({**SMALL, "preset": "cifar", "width": 4.0, "depth": 2}, "test")
        for layers in (("cifar.1", "cifar.2"), [{"use": "cifar.1"}, PRESETS["cifar"][1]]):
            tables = experiment(*layers, arm=())
            assert tables.layers == preset.layers
            assert tables.deciding() == preset.deciding()
        whole = DeepExperiment.parse({**SMALL, "layer": "cifar", "depth": 2}, "test")
        assert whole.deciding() == preset.deciding()
        arm, data = preset.arms()[0], preset.data()
        assert DeepTraining(whole, arm, 0, data).identity == DeepTraining(preset, arm, 0, data).identity

    def test_tables_change_what_they_use(self) -> None:
        spec = experiment({"use": "cifar.1", "neurons": 7, "power": 2.0}, WHOLE)
        assert spec.layers[0] == PRESETS["cifar"][0].changed(neurons=7, power=2.0)
        assert spec.changed(epochs=2).layers == spec.layers
        assert json.loads(spec.model_dump_json())["layer"][0] == {
            "use": "cifar.1", "neurons": 7, "power": 2.0,
        }  # fmt: skip
        assert spec.changed(depth=1).layers == spec.layers[:1]

    def test_from_a_file_of_toml(self, folder: Path) -> None:
        (folder / "e.toml").write_text(
            'kind = "deep"\ndataset = "digits"\n[[layer]]\nuse = "sparse.py:Sparse"\nneurons = 8\nkernel = 3\n'
            "learning_rate = 0.1\ninverse_temperature = 1.0\nwinners = 2\n"
            '[[layer]]\nneurons = 9\nkernel = "all"\nlearning_rate = 0.01\ninverse_temperature = 1.0\n'
            f'[[arm]]\nname = "mixed"\ndevice = "{PCM}"\nrule = "softhebb"\n[[arm.layer]]\n[[arm.layer]]\n'
            f'device = "{FINE}"\nread = {{ adc_bits = 6 }}\n',
            encoding="utf-8",
        )
        spec = DeepExperiment.from_toml(folder / "e.toml")
        assert [layer.neurons for layer in spec.layers] == [8, 9]
        assert spec.layers[0].winners == 2  # type: ignore[attr-defined]
        (arm,) = spec.arms()
        assert [arm.at(k).device for k in (0, 1)] == [PCM, FINE]
        assert [arm.at(k).read_path().adc_bits for k in (0, 1)] == [8, 6]

    @pytest.mark.parametrize(
        ("layers", "more", "reason"),
        [
            ([FIRST], {"preset": "cifar"}, "leave out preset"), ([FIRST], {"width": 1.0}, "leave out width"),
            ([FIRST], {"depth": 2}, "1 layers are listed"), ([{**FIRST, "neuron": 3}], {}, r"layer 1: .*neurons"),
            ([{"use": "cifra.1"}], {}, "did you mean 'cifar.1'"), ([{"use": "cifar"}], {"depth": 4}, "3 layers"),
            ([{"use": "cifar", "power": 2}], {}, "is a list of 3 layers, and power cannot be of all"),
            ([FIRST, {"kernel": 3}], {}, "layer 2: neurons: Field required"), ([3], {}, "layer 1: a int is none"),
            ([{**WHOLE, "pad": 1}], {}, "nothing to pad"), ([{**FIRST, "settings": {"learning_rate": 1}}], {}, "beside"),
            ([{**FIRST, "settings": {"leraning": 1}}], {}, "unknown setting 'leraning' of layer 1"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_said(self, layers: Any, more: dict[str, Any], reason: str) -> None:
        with pytest.raises((ConfigError, UnknownNameError), match=reason):
            experiment(*layers, **more)


class TestFullyConnected:
    def test_a_kernel_as_large_as_the_image_is_one(self) -> None:
        """To the bit, on devices as well."""
        for arm, name in ((None, "exact"), ((CELLS,), "cells")):
            found = [
                digest(trained(experiment({**WHOLE, "kernel": kernel}, arm=arm), name).snapshot())
                for kernel in ("all", 8)
            ]
            assert found[0] == found[1]

    def test_behind_a_convolution_it_sees_all_of_it(self) -> None:
        spec = experiment(FIRST, WHOLE)
        stack = trained(spec).stack
        assert [layer.array.shape for layer in stack.layers] == [(9, 6), (4 * 4 * 6, 10)]
        assert stack.layers[1].out_shape == (1, 1, 10)
        assert study(spec)["runs"][0]["heads"][1]["depth"] == 2

    def test_vectors_learn_as_a_layer_by_hand(self) -> None:
        rng = np.random.default_rng(0)
        kinds = np.arange(120) % 3
        x = rng.random((120, 8)) + kinds[:, None] * np.eye(8)[kinds]
        data = Dataset.of(x, kinds, scale=3)
        spec = experiment(WHOLE, {**WHOLE, "neurons": 4}, dataset=data, train_images=None, test_images=None)
        training = trained(spec, data=data)
        by_hand = DeepTraining(spec, spec.arms()[0], 0, data).stack.layers
        norm, dense = ChannelNorm(8), Dense(by_hand[0].array, by_hand[0].dense.rule, norm_every=1)
        order = generator(0, "order", 0).permutation(len(training.images))
        for step in range(training.total):
            batch = data.inputs(training.images[order[20 * step : 20 * step + 20]])
            dense.learn(norm.learn(batch.reshape(-1, 1, 1, 8)).reshape(-1, 8))
        np.testing.assert_array_equal(training.stack.layers[0].array.weights(), dense.array.weights())
        assert study(spec)["runs"][0]["accuracy"] > 0.5

    def test_vectors_are_no_images_for_patches(self) -> None:
        data = Dataset.of(np.random.default_rng(0).random((60, 9)), np.arange(60) % 3)
        with pytest.raises(InputError, match="holds vectors of 9 numbers"):
            study(experiment(FIRST, dataset=data, train_images=None, test_images=None))

    def test_with_labels_as_well(self) -> None:
        spec = experiment(
            FIRST, WHOLE, arm=(DeepArm(name="labels", backpropagation=Backpropagation(epochs=1)),)
        )
        assert study(spec)["runs"][0]["layers"][1]["rows"] == 96

    def test_what_is_too_small_is_said_before_any_work(self) -> None:
        with pytest.raises(InputError, match="nothing is left of images of 8 x 8"):
            study(experiment(FIRST, "cifar.1", "cifar.1", "cifar.3"))


class TestOfYourOwn:
    def spec(self, **changes: Any) -> DeepExperiment:
        arms = (DeepArm(name="exact"), CELLS)
        return DeepExperiment.parse({**SMALL, "layer": "sparse.py:stack", "arm": arms, **changes}, "test")

    def test_it_passes_on_what_its_file_says(self, folder: Path) -> None:
        training = trained(self.spec())
        first = training.stack.layers[0]
        images = training._images(training.test.images)
        u = first.dense.forward(first.patches(first.norm.forward(images))).reshape(-1, 8, 8, 16)
        kept = np.sort(u, axis=-1)[..., 12:13]
        shown = np.pad(np.maximum(np.where(u >= kept, u, 0), 0), ((0, 0), (1, 1), (1, 1), (0, 0)))
        wanted = np.stack(
            [shown[:, i : i + 4, j : j + 4].max(axis=(1, 2)) for i in range(0, 8, 2) for j in range(0, 8, 2)],
            axis=1,
        ).reshape(-1, 4, 4, 16)
        np.testing.assert_allclose(first.forward(images), wanted, atol=1e-5)
        assert first.out_shape == (4, 4, 16)

    @pytest.mark.slow
    def test_in_a_study_by_two_processes_and_in_a_sweep(self, folder: Path) -> None:
        here = study(self.spec(), folder / "one")
        there = study(self.spec(), folder / "two", workers=2)
        assert [run["accuracy"] for run in here["runs"]] == [run["accuracy"] for run in there["runs"]]
        assert here["holding"]["cells"][1]["layer"] == 2
        found = sweep(self.spec(), folder / "sweep", ["read_noise=0,0.3"])
        assert found["blocks"]["failed"] == found["blocks"]["missing"] == 0

    def test_objects_classes_and_files_are_the_same_layers(self, folder: Path) -> None:
        by_file = self.spec()
        objects = experiment(*listed("sparse.py:stack"), arm=by_file.arm)
        assert objects.layers == by_file.layers
        assert objects.deciding() == by_file.deciding()
        assert objects.changed(epochs=2).layers == by_file.layers

    def test_its_code_is_part_of_the_identity(self, folder: Path) -> None:
        data = self.spec().data()

        def identity() -> str:
            spec = self.spec()
            return DeepTraining(spec, spec.arms()[0], 0, data).identity

        before = identity()
        assert identity() == before
        edited = SPARSE.replace(
            "np.where(currents < least, 0, currents)", "np.where(currents < least, 0, least)"
        )
        (folder / "sparse.py").write_text(edited, encoding="utf-8")
        assert identity() != before

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ("return currents - currents.mean(axis=0)", "takes? each image by itself"),
            ("return currents[:, 0]", r"expected images \(2, height, width, channels\)"),
            ("return currents / 0", "NaN or infinity"), ("return self.nothing", "pass_on failed on currents"),
            ("return np.random.default_rng().random(currents.shape)", "draw nothing at random"),
        ],
    )  # fmt: skip
    def test_what_is_no_layer_is_refused_before_any_work(self, body: str, reason: str, folder: Path) -> None:
        lines = SPARSE.partition("        least =")[0]
        (folder / "sparse.py").write_text(f"{lines}        {body}\n", encoding="utf-8")
        spec = experiment({"use": "sparse.py:Sparse", **FIRST})
        with pytest.raises(ConfigError, match=reason), np.errstate(all="ignore"):
            study(spec)

    @pytest.mark.parametrize(
        ("arm", "reason"),
        [
            (
                {"name": "a", "activation": "relu"},
                r"activation: layer 1 passes on in a way of its own \(Sparse",
            ),
            ({"name": "a", "backpropagation": {"epochs": 1}}, "backpropagation: layer 1 passes on"),
        ],
    )
    def test_what_it_has_itself_cannot_be_changed(self, arm: Any, reason: str, folder: Path) -> None:
        with pytest.raises(ConfigError, match=reason):
            self.spec(arm=[arm])

    def test_a_file_without_it_says_what_there_is(self, folder: Path) -> None:
        with pytest.raises(
            UnknownNameError, match=r"unknown layer 'Spars' in sparse.py; did you mean 'Sparse'"
        ):
            experiment({"use": "sparse.py:Spars", **FIRST})
        with pytest.raises(ConfigError, match=r"derive its class from neurosim\.Layer"):
            experiment({"use": "sparse.py:np", **FIRST})


class TestLayersOfAnArm:
    def mixed(self, *tables: dict[str, Any], **changes: Any) -> DeepExperiment:
        return experiment(FIRST, WHOLE, arm=(CELLS.changed(layer=tables),), **changes)

    def test_each_array_is_what_its_table_says(self) -> None:
        spec = self.mixed(
            {}, {"device": FINE, "read": {"adc_bits": 5}, "write": {"decay_mode": "gain"}, "wires": {"r_word_ohm": 2.0},
                 "settings": {"anti_hebbian": False}, "rule": "softhebb", "mode": "accumulate"},
            parameters={"read_noise_relative": 0.07, "flicker": 0.01},
        )  # fmt: skip
        first, second = (layer.dense for layer in trained(spec, "cells").stack.layers)
        assert (first.array.device.law, second.array.device.law) == ("pcm-accumulative", "linear-step")
        assert [each.array.read.adc_bits for each in (first, second)] == [8, 5]
        assert [each.array.write.decay_mode for each in (first, second)] == ["readback", "gain"]
        assert first.array.wires is None
        assert second.array.wires.r_word_ohm == 2.0
        assert [each.rule.anti_hebbian for each in (first, second)] == [True, False]
        assert [each.mode for each in (first, second)] == ["mixed", "accumulate"]
        assert {each.array.device.flicker for each in (first, second)} == {0.01}, (
            "the experiment's, of both laws"
        )

    def test_an_empty_table_changes_nothing_and_any_other_everything(self) -> None:
        data = self.mixed().data()
        found = {}
        for tables in (
            (),
            ({}, {}),
            ({}, {"parameters": {"read_noise_relative": 0.3}}),
            ({}, {"device": FINE}),
        ):
            training = trained(self.mixed(*tables), "cells", data)
            found[json.dumps(tables)] = training.identity, digest({"w": training.layers[1].array.weights()})
        values = list(found.values())
        assert values[0] == values[1]
        assert len(set(values)) == len({bits for _, bits in values}) == 3

    def test_results_tell_its_devices_apart(self) -> None:
        results = study(self.mixed({}, {"device": FINE}))
        assert {name: of["card"] for name, of in results["devices"].items()} == {
            "cells": PCM, "cells, layer 2": FINE,
        }  # fmt: skip
        assert any(one["arms"] == ["cells", "cells, layer 2"] for one in results["ideals"])
        both = study(self.mixed({"device": FINE}, {"device": FINE, "read": {"adc_bits": 4}}))
        assert list(both["devices"]) == ["cells, layer 1", "cells, layer 2"]

    @pytest.mark.parametrize(
        ("tables", "reason"),
        [
            ([{}], "2 layers need 2 tables"), ([{}, {"seeds": 3}], "unknown setting 'seeds' of arm cells, layer 2"),
            ([{}, {"device": None}], "all layers of an arm are on devices, or none is"),
            ([{}, {"read": {"adc_bit": 3}}], "adc_bits"), ([{}, {"rule": "softhebb-paper"}], "ideal arithmetic only"),
            ([{}, {"read": {"reading_delay_s": 3.0}}], "one number of an experiment"),
            ([{}, {"parameters": {"nonsense": 3.0}}], "nonsense"), ([{}, {"device": "nothing"}], "unknown device card"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_said_before_any_work(self, tables: Any, reason: str) -> None:
        with pytest.raises((ConfigError, UnknownNameError), match=reason):
            self.mixed(*tables).check()

    def test_a_level_of_a_sweep_reaches_every_layer_or_is_refused(self) -> None:
        spec = self.mixed({}, {"read": {"adc_bits": 5}, "wires": {"r_bit_ohm": 1.0}})
        arm = with_setting(spec, "read.read_noise", 0.2).arms()[0]
        assert [arm.at(number).read_path().read_noise for number in (0, 1)] == [0.2, 0.2]
        other = self.mixed({}, {"device": FINE})
        for swept, name in (
            (spec, "read.adc_bits"), (spec, "wires.ohm"), (other, "parameters.flicker"),
        ):  # fmt: skip
            with pytest.raises(ConfigError, match=f"{name}: layer 2 of arm cells has its own"):
                with_setting(swept, name, 4)

    def test_ideal_arithmetic_stays_ideal(self) -> None:
        with pytest.raises(ConfigError, match="give the arm a device"):
            experiment(FIRST, WHOLE, arm=({"name": "a", "layer": [{}, {"device": PCM}]},))
        with pytest.raises(ConfigError, match="has no read"):
            experiment(FIRST, WHOLE, arm=({"name": "a", "layer": [{}, {"read": {"adc_bits": 4}}]},))
        spec = experiment(FIRST, WHOLE, arm=({"name": "a", "layer": [{}, {"rule": "hard-wta"}]},))
        assert [rule.name for rule in trained(spec, "a").rules] == ["softhebb-paper", "hard-wta"]


class TestForwardForward:
    def spec(self, *layers: Any, arm: Any = (), **changes: Any) -> ForwardForwardExperiment:
        return ForwardForwardExperiment.parse({**FF, "layer": layers, "arm": arm, **changes}, "test")

    def trained(self, spec: ForwardForwardExperiment) -> ForwardForwardTraining:
        training = ForwardForwardTraining(spec, spec.arms()[0], 0, spec.data())
        training.run()
        return training

    def test_tables_of_neurons_are_widths(self) -> None:
        tables = self.spec({"neurons": 12}, {"neurons": 8})
        widths = ForwardForwardExperiment.parse({**FF, "widths": [12, 8]}, "test")
        assert tables.deciding() == widths.deciding()
        assert self.trained(tables).identity == self.trained(widths).identity
        fields = self.spec({"neurons": 3, "field": [4, 4]}, {"neurons": 4, "field": [2, 1]})
        assert (fields.layers, fields.receptive) == ((3, 4), ((4, 4), (2, 1)))

    def test_rules_and_arrays_of_layers(self) -> None:
        cells = ForwardForwardArm(
            name="cells", device=PCM, mode="mixed", settings={"decay": 0.02},
            layer=({}, {"device": FINE, "settings": {"threshold": 3.0}, "momentum": 0.5}),
        )  # fmt: skip
        spec = self.spec(
            {"neurons": 12, "settings": {"peer": 0.5, "decay": 0.7}}, {"neurons": 8, "settings": {"threshold": 2.0}},
            arm=(cells,),
        )  # fmt: skip
        training = self.trained(spec)
        assert [(rule.peer, rule.decay, rule.threshold) for rule in training.rules] == [
            (0.5, 0.02, 1.0), (0.03, 0.02, 3.0),
        ]  # fmt: skip
        assert [layer.array.device.law for layer in training.layers] == ["pcm-accumulative", "linear-step"]
        assert [layer.array.write.momentum for layer in training.layers] == [0.9, 0.5]
        plain = self.spec({"neurons": 12}, {"neurons": 8}, arm=(cells.changed(layer=()),))
        assert self.trained(plain).identity != training.identity

    @pytest.mark.parametrize(
        ("layers", "more", "reason"),
        [
            ([{"neurons": 8}], {"widths": [8]}, "leave out widths"), ([{"neuron": 8}], {}, "neurons"),
            ([{"neurons": 8, "field": [2, 2]}, {"neurons": 8}], {}, "each layer a field, or none"),
            ([{"neurons": 8, "settings": {"treshold": 1}}], {}, "threshold"),
            ([{"neurons": 8, "settings": {"jump": 0.1}}], {}, "set online = true"),
            ([{"neurons": 8, "settings": {"jump": 0.1}}], {"online": True}, "set momentum = 0"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_said(self, layers: Any, more: dict[str, Any], reason: str) -> None:
        with pytest.raises((ConfigError, UnknownNameError), match=reason):
            self.spec(*layers, **more)

    def test_chips_of_a_mortal_study_differ_as_a_whole(self) -> None:
        arm = {"name": "a", "device": PCM, "layer": [{}, {"device": FINE}]}
        with pytest.raises(ConfigError, match="differ as a whole"):
            MortalExperiment.parse({**FF, "widths": [8, 8], "chips": 1, "arm": [arm]}, "test")


def test_no_pool_has_no_window() -> None:
    with pytest.raises(ConfigError, match="pool = 'none' has no pool_kernel"):
        ns_layer.Layer.parse({"neurons": 4, "kernel": 3, "learning_rate": 0.1, "inverse_temperature": 1.0, "pool_kernel": 4}, "test")  # fmt: skip
