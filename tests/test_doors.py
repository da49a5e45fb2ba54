"""Devices and rules by name, from a file, from a package or as objects; the rule of docs/your_own.md runs everywhere."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from helpers import ROOT
from test_own_law import CARD, LAW

from neurosim import (
    Axis,
    Crossbar,
    DeepArm,
    DeepExperiment,
    Dense,
    DenseExperiment,
    ForwardForwardArm,
    ForwardForwardExperiment,
    IdealArray,
    Sweep,
    devices,
    rules,
)
from neurosim.core import registry
from neurosim.core.errors import ConfigError, InputError, UnknownNameError
from neurosim.core.registry import Given
from neurosim.data import Dataset
from neurosim.data import load as load_images
from neurosim.devices.card import CARDS, ShadowedCardWarning, find
from neurosim.rules import Hebb, SoftHebb
from neurosim.study.code import own_code
from neurosim.study.compare import compare
from neurosim.study.deep import DeepTraining
from neurosim.study.dense import DenseTraining
from neurosim.study.forward_forward import ForwardForwardTraining
from neurosim.study.run import run_with_checkpoints, study
from neurosim.study.store import digest
from neurosim.study.sweep import Plan
from neurosim.study.swept import sweep
from neurosim.study.typed_code import typed_digest

BCM = (ROOT / "docs" / "examples" / "bcm.py").read_text(encoding="utf-8")
PCM, FINE = "pcm-nandakumar-2018", "ecram-li-tang-2018"
TINY: dict[str, Any] = {
    "dataset": "digits", "neurons": 10, "train_images": 120, "test_images": 40, "readout_epochs": 1,
    "curve_points": 0, "mode": "mixed",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a rule, a law, its card and a device."""
    (tmp_path / "bcm.py").write_text(BCM, encoding="utf-8")
    (tmp_path / "knee.py").write_text(LAW, encoding="utf-8")
    (tmp_path / "my-device.toml").write_text(CARD, encoding="utf-8")
    (tmp_path / "cells.py").write_text(
        f"from neurosim import devices\nquiet = devices.load('{PCM}').with_parameters(read_noise_relative=None)\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestTheRuleOfThePage:
    def test_it_is_fifteen_lines_and_does_what_its_equation_says(self, folder: Path) -> None:
        body = BCM.partition("class Bcm")[2].splitlines()
        assert len([line for line in body if line.strip()]) <= 15
        rule = rules.build("bcm.py:Bcm", {"learning_rate": 0.1, "memory": 0.75}, "test")
        rng = np.random.default_rng(0)
        state = rule.state(5, 3)
        theta = None
        for _ in range(4):
            x, u = rng.random((6, 5), np.float32), rng.normal(size=(6, 3)).astype(np.float32)
            change = rule(x, u, state)
            y = np.maximum(u, 0)
            theta = (y**2).mean(0) if theta is None else 0.75 * theta + 0.25 * (y**2).mean(0)
            expected = 0.1 / 6 * sum(np.outer(x[b], y[b] * (y[b] - theta)) for b in range(6))
            np.testing.assert_allclose(change.pre.T @ change.post, expected, rtol=1e-5, atol=1e-7)
            assert change.decay is None

    def test_it_learns_to_tell_two_inputs_apart(self, folder: Path) -> None:
        """Each neuron comes to answer one of two inputs alone, with y = 1 / p of it: the fixed points of the rule."""
        rule = rules.build("bcm.py:Bcm", {"learning_rate": 0.2, "memory": 0.5}, "test")
        array = IdealArray((6, 8))
        rng = np.random.default_rng(0)
        array.program(rng.random((6, 8), np.float32) * 0.5)
        layer = Dense(array, rule)
        inputs = np.array([[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1]], np.float32)
        for _ in range(3000):
            layer.learn(inputs)
        answers = np.sort(np.maximum(array.forward(inputs), 0), axis=0)
        np.testing.assert_allclose(answers, [[0] * 8, [2] * 8], atol=1e-3)

    def test_in_compare_and_deep_on_devices_and_without(self, folder: Path) -> None:
        spec = DenseExperiment.parse(
            {**TINY, "rule": "bcm.py:Bcm", "device": [PCM, "my-device.toml"]}, "test"
        )
        found = compare(spec, folder / "dense")
        assert [run["arm"] for run in found["runs"]] == ["ideal", PCM, "my-device"]
        assert all(run["energy"]["pulses"] > 0 for run in found["runs"][1:])
        assert found["config"]["rule"] == "bcm.py:Bcm"
        settings = {"learning_rate": 0.1}
        arms = tuple(
            DeepArm(
                name=name, rule="bcm.py:Bcm", settings=settings, start_radius=1.0, device=device, mode="mixed"
            )
            for name, device in (("exact", None), ("cells", PCM))
        )
        experiment = DeepExperiment(
            dataset="digits", train_images=60, test_images=40, width=1.0, depth=1, head_epochs=1, batch=20, arm=arms,
        )  # fmt: skip
        result = study(experiment, folder / "deep")
        assert [run["arm"] for run in result["runs"]] == ["exact", "cells"]
        assert result["runs"][1]["layers"][0]["energy"]["pulses"] > 0

    def test_layers_take_its_rate_from_the_preset_unless_told(self) -> None:
        arm = DeepArm(name="a", rule=_with_rate())
        assert arm.build_rule(DeepExperiment(dataset="digits").layers[0], 0).learning_rate == 0.08
        given = DeepArm(name="a", rule=_with_rate()(learning_rate=0.5))
        assert given.build_rule(DeepExperiment(dataset="digits").layers[0], 0).learning_rate == 0.5

    @pytest.mark.parametrize("device", [None, PCM])
    def test_killed_and_started_again_it_ends_in_the_same_bits(
        self, folder: Path, device: str | None
    ) -> None:
        spec = DenseExperiment.parse(
            {**TINY, "rule": "bcm.py:Bcm", "device": [device] if device else []}, "test"
        )
        data = spec.data()

        def training() -> DenseTraining:
            return DenseTraining(spec, spec.device_arms()[0] if device else None, 0, data)

        whole, half = training(), training()
        whole.run()

        class Killed(Exception):
            pass

        def kill() -> None:
            if half.steps == 2:
                half.save(folder / "c.npz")
                raise Killed

        with pytest.raises(Killed):
            half.run(save=kill)
        resumed = training()
        resumed.resume(folder / "c.npz")
        assert resumed.layer.state["theta"].any()
        resumed.run()
        assert digest(resumed.layer.snapshot()) == digest(whole.layer.snapshot())

    def test_an_edited_rule_is_another_run_in_every_study(self, folder: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "rule": "bcm.py:Bcm"}, "test")
        arm = DeepArm(name="a", rule="bcm.py:Bcm")
        deep_spec = DeepExperiment(dataset="digits", width=1.0, depth=1, arm=(arm,))
        data = load_images("digits").subset(120, 40)

        def identities() -> list[str]:
            return [
                DenseTraining(spec, None, 0, data).identity,
                DeepTraining(deep_spec, arm, 0, data).identity,
            ]

        before = identities()
        assert identities() == before
        (folder / "bcm.py").write_text(BCM.replace("0.99", "0.98"), encoding="utf-8")
        assert not set(before) & set(identities())

    def test_in_a_sweep_an_edited_rule_is_carried_out_again(self, folder: Path) -> None:
        base = DenseExperiment.parse({**TINY, "rule": "hebb"}, "test")

        def swept() -> dict[str, Any]:
            return sweep(base, folder / "out", ["rule=hebb,bcm.py:Bcm"])

        first, again = swept(), swept()
        assert [row["experiment.rule"] for row in first["rows"]] == ["hebb", "bcm.py:Bcm"]
        assert again["rows"] == first["rows"], "what is kept is not computed again"
        (folder / "bcm.py").write_text(BCM.replace("0.001", "0.01"), encoding="utf-8")
        edited = swept()
        assert edited["rows"][0] == first["rows"][0]
        assert edited["rows"][1]["block"] != first["rows"][1]["block"]

    @pytest.mark.slow
    def test_workers_find_it(self, folder: Path) -> None:
        spec = DenseExperiment.parse({**TINY, "rule": "bcm.py:Bcm", "device": [PCM]}, "test")
        alone, shared = compare(spec), compare(spec, workers=2)
        for one, other in zip(alone["runs"], shared["runs"], strict=True):
            assert (one["accuracy"], one["vote"], one["norm_mean"]) == (
                other["accuracy"],
                other["vote"],
                other["norm_mean"],
            )


def _with_rate() -> Any:
    class Rated(Hebb):
        name: ClassVar[str] = "rated"

    return Rated


class TestThePage:
    def test_its_programs_run(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        page = (ROOT / "docs" / "your_own.md").read_text(encoding="utf-8")
        programs = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
        assert len(programs) == 2
        found = []
        for program in programs:
            space: dict[str, Any] = {}
            exec(program, space)  # noqa: S102
            space["spec"].check()
            found.append(space.get("results"))
        assert [run["arm"] for run in found[0]["runs"]] == ["ideal", PCM, "rram-hfo2-om-2022"]
        unknown = [told for told in found[0]["ideals"] if "without a card" in told["ideal"]]
        assert [told["arms"] for told in unknown] == [[PCM]]
        numbers = found[0]["devices"][PCM]["numbers"]
        assert {number["source"] for number in numbers.values()} == {"given with the device"}
        assert numbers["read_noise_relative"]["value"] is None
        said = capsys.readouterr().out
        assert said.startswith(
            "three clouds (240 training and 60 test vectors of 8 numbers; 3 classes; 20 % of each class"
        )

    def test_a_scale_is_part_of_what_was_learnt(self) -> None:
        """The same bytes, taken otherwise, are other inputs."""
        x, y = np.arange(60 * 16, dtype=np.uint8).reshape(60, 4, 4) % 16, np.arange(60) % 3
        spec = DenseExperiment(**{**TINY, "train_images": None, "test_images": None})
        taken = [
            Dataset.of(x, y, scale=15),
            Dataset.of(x, y, scale=100),
            Dataset.of(x.reshape(60, 2, 8), y, scale=15),
        ]
        assert len({DenseTraining(spec, None, 0, data).identity for data in taken}) == 3


class TestRules:
    def test_the_same_rule_through_every_door(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(folder)
        (folder / "my_package_of_rules.py").write_text(BCM)
        kinds = [
            rules.load("bcm.py:Bcm"),
            rules.load(folder / "bcm.py:Bcm"),
            rules.load("my_package_of_rules:Bcm"),
        ]
        assert kinds[0] is kinds[1]
        assert rules.load(kinds[0]) is kinds[0]
        assert rules.load("softhebb") is SoftHebb
        found = []
        for rule, options in (
            (kinds[0], {"memory": 0.9}),
            (kinds[2](memory=0.9), {}),
            ("bcm.py:Bcm", {"memory": 0.9}),
        ):
            spec = DenseExperiment.parse({**TINY, "rule": rule, "rule_options": options}, "test")
            training = DenseTraining(spec, None, 0, spec.data())
            training.run()
            found.append(digest(training.layer.array.snapshot()))
            json.dumps(spec.model_dump(mode="json"))
        assert len(set(found)) == 1

    def test_settings_of_an_object_count_and_stand_in_the_identity(self) -> None:
        data = load_images("digits").subset(120, 40)
        specs = [DenseExperiment(**{**TINY, "rule": rule}) for rule in (Hebb(), Hebb(learning_rate=0.5))]
        assert specs[1].build_rule().learning_rate == 0.5
        assert specs[1].changed(rule_options={"learning_rate": 0.25}).build_rule().learning_rate == 0.25
        one, other = (DenseTraining(spec, None, 0, data).identity for spec in specs)
        assert one != other

    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            ("bcm.py:Bmc", "unknown rule 'Bmc' in bcm.py; did you mean 'Bcm'"),
            ("bcm.py", "say which rule of it, bcm.py:Bcm"),
            ("bmc.py:Bcm", "rule file bmc.py: No such file or directory"),
            ("broken.py:A", "rule file broken.py: SyntaxError"),
            ("lonely.py:A", "a file is run alone, what it imports must be installed"),
            ("bcm.py:np", "this is none: its settings must be checked"),
            ("plain.py:Plain", "derive its class from neurosim.core.frozen.Frozen"),
            ("plain.py:Half", "it has no state, no observe_norms"),
            ("plain.py:Shadow", "'softhebb' is the name of a registered one"),
            ("bcm:Bcm2", "cannot import bcm"),
            ("soft-hebb", "did you mean 'softhebb'"),
        ],
    )
    def test_a_wrong_one_is_refused_in_one_line(self, folder: Path, rule: str, words: str) -> None:
        (folder / "broken.py").write_text("def (")
        (folder / "lonely.py").write_text("import no_such_module_at_all")
        (folder / "plain.py").write_text(
            "from typing import ClassVar\nfrom neurosim.core.config import Frozen\nfrom neurosim.rules import SoftHebb\n"
            "class Plain:\n    name, ideal_only = 'plain', False\n"
            "class Half(Frozen):\n    name: ClassVar = 'half'\n    ideal_only: ClassVar = False\n"
            "    def __call__(self, x, u, state): ...\n"
            "class Shadow(SoftHebb):\n    '''Another softhebb.'''\n"
        )

        def built(kind: Any, given: dict[str, Any]) -> None:
            kind.parse({"dataset": "digits", **given}, "test").build_rule()

        for kind, given in (
            (DenseExperiment, {"rule": rule}),
            (DeepExperiment, {"arm": [{"name": "a", "rule": rule}]}),
        ):
            with pytest.raises((ConfigError, UnknownNameError), match=re.escape(words)) as caught:
                built(kind, given)
            assert "\n" not in str(caught.value)

    def test_objects_that_are_none(self) -> None:
        with pytest.raises(InputError, match="int object is none: its settings"):
            rules.load(3)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="rule: expected the name of a rule"):
            DenseExperiment.parse({"rule": 3}, "test")
        with pytest.raises(InputError, match="derive its class from"):
            DenseExperiment.parse({"rule": np.ndarray}, "test").build_rule()

    def test_a_rule_that_borrows_a_name_gets_no_twin_of_another(self) -> None:
        class Shadow(SoftHebb):
            """Another rule, of the same name."""

        from neurosim import TorchDense
        from neurosim.reference.twin.arithmetic import TorchIdeal

        with pytest.raises(ConfigError, match="is the name of a registered one"):
            TorchDense(TorchIdeal((4, 3)), Shadow())


class TestDevices:
    def test_the_same_device_through_every_door(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(folder)
        (folder / "my_package_of_cells.py").write_text((folder / "cells.py").read_text())
        quiet = devices.load(PCM).with_parameters(read_noise_relative=None)
        for given in ("cells.py:quiet", folder / "cells.py:quiet", "my_package_of_cells:quiet", quiet):
            assert devices.load(given) == quiet
            assert Crossbar((3, 2), given).device == quiet  # type: ignore[arg-type]
        card = find(PCM)
        assert devices.load(card) == devices.load(PCM) == Crossbar((3, 2), card).device  # type: ignore[arg-type]
        found = []
        for given in (quiet, "cells.py:quiet"):
            spec = DenseExperiment.parse({**TINY, "device": [given]}, "test")
            assert [arm.name for arm in spec.device_arms()] == [PCM if given is quiet else "quiet"]
            training = DenseTraining(spec, spec.device_arms()[0], 0, spec.data())
            training.run()
            found.append(digest(training.layer.snapshot()))
        assert found[0] == found[1]

    def test_numbers_of_an_object_are_part_of_a_run(self) -> None:
        data = load_images("digits").subset(120, 40)
        quiet = devices.load(PCM).with_parameters(read_noise_relative=None)
        arm, other = (ForwardForwardArm(name="a", device=device) for device in (quiet, devices.load(PCM)))
        ff = ForwardForwardExperiment(dataset="digits", widths=(8,), arm=(arm,))
        assert (
            ForwardForwardTraining(ff, arm, 0, data).identity
            != ForwardForwardTraining(ff, other, 0, data).identity
        )
        spec = DenseExperiment(**{**TINY, "device": (quiet,)})
        assert json.loads(spec.model_dump_json())["device"] == [f"{PCM} (pcm-accumulative)"]

    def test_as_levels_of_a_sweep(self, folder: Path) -> None:
        quiet = devices.load(PCM).with_parameters(read_noise_relative=None)
        axis = Axis(field="device", levels=("my-device.toml", "cells.py:quiet", quiet))
        plan = Plan(Sweep(axis=(axis, Axis.from_text("epochs=1,2"))), DenseExperiment(**TINY))
        assert [arm.name for arm in plan.experiment.listed] == ["ideal", "my-device", "quiet", PCM]

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("cells.py:quit", "unknown device 'quit' in cells.py; did you mean 'quiet'"),
            ("cells.py", "say which device of it, cells.py:quiet"),
            ("knee.py:Knee", "it is a law, without numbers"),
            ("cells.py:devices", "expected a card name, a card file or a device"),
            ("pcm-nandakumar-2008", "did you mean 'pcm-nandakumar-2018'"),
        ],
    )
    def test_a_wrong_one_is_refused_in_one_line(self, folder: Path, given: str, words: str) -> None:
        for door in (devices.load, lambda device: Crossbar((3, 2), device), find):
            with pytest.raises((ConfigError, UnknownNameError), match=re.escape(words)) as caught:
                door(given)
            assert "\n" not in str(caught.value)
        with pytest.raises(InputError, match="device: int object is none: expected a card name"):
            Crossbar((3, 2), 3)  # type: ignore[arg-type]

    def test_a_device_without_a_card_has_no_sources_to_show(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="a device without a card"):
            find("cells.py:quiet")

    def test_a_card_of_a_law_in_a_package(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.syspath_prepend(folder)
        (folder / "my_package_of_laws.py").write_text(LAW)
        (folder / "other.toml").write_text(CARD.replace("knee.py:Knee", "my_package_of_laws:Knee"))
        one, other = devices.load("my-device.toml"), devices.load("other.toml")
        assert type(other).__module__ == "my_package_of_laws"
        traces = [devices.pulse_response(law, [1, 1, -1], 5) for law in (one, other)]
        np.testing.assert_array_equal(*traces)

    def test_a_law_that_borrows_a_name_is_refused(self, folder: Path) -> None:
        (folder / "knee.py").write_text(
            LAW.replace(
                'law, own_kernels, params_type = "knee"', 'law, own_kernels, params_type = "soft-bounds"'
            )
        )
        with pytest.raises(ConfigError, match="'soft-bounds' is the name of a registered one"):
            devices.load("my-device.toml")

    def test_a_card_that_takes_a_built_in_name_says_so_once(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own, same = folder / "own", folder / "same"
        text = (CARDS / f"{PCM}.toml").read_text(encoding="utf-8")
        for place in (own, same):
            place.mkdir()
            (place / f"{PCM}.toml").write_text(
                text if place is same else text.replace('summary = "', 'summary = "My ')
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            devices.load(str(same / f"{PCM}.toml"))
        with pytest.warns(ShadowedCardWarning, match=f"'{PCM}' is the name of a built-in card"):
            devices.load(str(own / f"{PCM}.toml"))
        monkeypatch.setenv("NEUROSIM_CARDS", str(own))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert find(PCM).summary.startswith("My ")


class TestCompiledKernels:
    @pytest.mark.parametrize(
        ("law", "around"),
        [
            pytest.param("knee.py:Knee", ", added_step_spread=0.1", marks=pytest.mark.slow),
            ("my_package_of_laws:Knee", ""),
            pytest.param(
                "my_package_of_laws:Knee",
                ", added_step_spread=0.1, devices_per_cell=2",
                marks=pytest.mark.slow,
            ),
        ],
    )
    def test_an_edited_law_meets_none_of_the_old_one(self, folder: Path, law: str, around: str) -> None:
        """In a process of its own each, over one cache."""
        program = (
            "from neurosim import devices\n"
            f"law = devices.load('my-device.toml').without_noise().with_parameters(step_spread=0.0{around})\n"
            "traces = devices.pulse_response(law, [1], 1)\n"
            "print(traces[1, 0] - traces[0, 0])\n"
        )
        (folder / "my-device.toml").write_text(CARD.replace("knee.py:Knee", law))
        source = folder / f"{law.partition(':')[0].removesuffix('.py')}.py"
        paths = os.pathsep.join([str(ROOT), str(folder), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "NEUROSIM_CACHE": str(folder / "cache"), "PYTHONPATH": paths}

        def step(text: str) -> float:
            source.write_text(text)
            done = subprocess.run(
                [sys.executable, "-B", "-c", program],
                check=False,
                env=env,
                cwd=folder,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            return float(done.stdout)

        before = step(LAW)
        assert step(LAW.replace("np.float32(1) -", "np.float32(0.5) -")) == pytest.approx(
            before / 2, rel=1e-3
        )


class TestTheLock:
    def test_text_carries_the_thing_through_copies(self) -> None:
        given = Given("a text", {"a": [1]})
        for copy in (pickle.loads(pickle.dumps(given)), given):
            assert (copy, copy.thing) == ("a text", {"a": [1]})
        assert json.loads(json.dumps({"x": given})) == {"x": "a text"}

    def test_kinds_are_those_of_entry_points(self) -> None:
        assert registry.names("data set") == []
        with pytest.raises(UnknownNameError):
            registry.find("data set", "none")

    def test_what_is_typed_at_a_prompt_has_a_digest_of_what_it_does(self) -> None:
        def typed(text: str) -> type:
            space: dict[str, Any] = {"__name__": "__main__"}
            exec(text, space)  # noqa: S102
            return space["Typed"]

        text = (
            "from neurosim.core.config import Frozen\nRATE = 2.0\ndef twice(x): return RATE * x\n"
            "class Typed(Frozen):\n    rate: float = 0.1\n    def __call__(self, x):\n        return [twice(y) for y in x]\n"
        )
        known = typed_digest(typed(text))
        assert typed_digest(typed(f"# moved\n\n{text}")) == known
        for old, new in (
            ("RATE = 2.0", "RATE = 3.0"),
            ("rate: float = 0.1", "rate: float = 0.2"),
            ("RATE * x", "RATE - x"),
            ("twice(y)", "twice(-y)"),
        ):
            assert typed_digest(typed(text.replace(old, new))) != known

    def test_own_code_of_a_class_in_a_notebook(self, tmp_path: Path) -> None:
        program = (
            "from neurosim.rules import Hebb\nfrom neurosim.study.code import own_code\n"
            "class Typed(Hebb):\n    name = 'typed'\n"
            "print(len(own_code(Typed, Hebb)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-"], input=program, capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == "1", done.stderr
        assert own_code(Hebb) == []


def test_vectors_learn_in_compare_and_are_refused_where_images_are_needed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 7)) + 3 * np.eye(7)[np.arange(90) % 3]
    own = Dataset.of(x, np.arange(90) % 3, name="clouds")
    spec = DenseExperiment.parse(
        {**TINY, "dataset": own, "train_images": None, "test_images": None, "device": [FINE]}, "test"
    )
    found = compare(spec, tmp_path)
    assert found["data"]["image_shape"] == [7]
    (tmp_path / "results.json").write_text(json.dumps(found))
    from neurosim.report.html import write_report

    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "clouds" in page
    assert "Receptive fields of" not in page
    result = run_with_checkpoints(spec, None, _made(tmp_path / "run"))
    assert result["accuracy"] == found["runs"][1]["accuracy"]
    refused = "holds vectors of 7 numbers, and images are needed here"
    with pytest.raises(InputError, match=refused):
        study(DeepExperiment(dataset=own, width=1.0, depth=1), tmp_path / "deep")
    ff = ForwardForwardExperiment(dataset=own, widths=(8,))
    with pytest.raises(InputError, match=refused):
        ForwardForwardTraining(ff, ff.listed[0], 0, own)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
