"""Parameter cards: complete, with units and sources; damage is reported in one line that names the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import BUILT_IN, HFO2, PCM, ROOT

from neurosim import devices
from neurosim.core import registry
from neurosim.core.errors import ConfigError, NeurosimError, UnknownNameError
from neurosim.devices import Law, cards
from neurosim.devices.card import CARDS, read

CARD = (CARDS / f"{HFO2}.toml").read_text(encoding="utf-8")


def load_text(folder: Path, text: str | bytes) -> Law:
    file = folder / "mine.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return devices.load(file)


def one_line(error: BaseException) -> str:
    message = str(error)
    assert "\n" not in message
    assert isinstance(error, NeurosimError)
    return message


def test_the_cards_of_the_repository_are_all_known():
    assert set(cards()) == {file.stem for file in CARDS.glob("*.toml")}
    assert set(BUILT_IN) <= set(cards())


@pytest.mark.parametrize("name", sorted(cards()))
def test_card_loads_and_every_number_has_its_unit_and_a_source(name):
    card = read(cards()[name])
    law = devices.load(name)
    assert card.name == name == law.name
    assert card.citation
    assert card.summary
    units = type(law).units()
    for parameter, number in card.parameters.items():
        assert number.unit == units[parameter]
        assert len(number.source.strip()) >= 8, parameter
        assert getattr(law, parameter) == number.value


@pytest.mark.parametrize("name", registry.names("device law"))
def test_every_physical_parameter_of_a_law_has_a_unit_that_its_name_carries(name):
    units = registry.find("device law", name).units()
    fields = set(registry.find("device law", name).model_fields) - {"name"}
    assert set(units) == fields
    for parameter, unit in units.items():
        assert unit in {"1", "uS", "s", "A", "V", "K", "eV", "J"}
        stem = f"_{unit}"
        if unit != "1" and not parameter.startswith("program_c"):
            assert parameter.endswith(stem), parameter


def test_a_third_partys_card_file_loads_by_path(tmp_path):
    text = CARD.replace(f'name = "{HFO2}"', 'name = "my-device"').replace("value = 0.0949", "value = 0.05")
    for path in (tmp_path / "mine.toml", str(tmp_path / "mine.toml")):
        law = load_text(tmp_path, text) if isinstance(path, Path) else devices.load(path)
        assert (law.name, law.law, law.step) == ("my-device", "soft-bounds", 0.05)
    assert devices.load(law) is law


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('value = 0.0949, unit = "1", ', "value = 0.0949, ", "parameters.step.unit"),
        ('step = { value = 0.0949, unit = "1"', 'step = { value = 0.0949, unit = "uS"', "must be '1'"),
        (
            'write_time_s = { value = 5e-08, unit = "s"',
            'write_time_s = { value = 50, unit = "ns"',
            "must be 's'",
        ),
        ("\nstep = {", "\nstpe = {", "did you mean 'step'"),
        ("write_voltage_V = {", "unheard_of = {", "unknown parameter 'unheard_of'"),
        ("value = 0.0949", "value = -0.0949", "step = -0.0949: Input should be greater than 0"),
        ("value = 0.0949", "value = nan", "parameters.step.value"),
        ("value = 0.0949", "value = inf", "parameters.step.value"),
        ("value = 0.0949", 'value = "small"', "parameters.step.value"),
        ("value = 0.1348", "value = 1.348", "corrupt_share = 1.348"),
        ("g_max_uS = { value = 90.0", "g_max_uS = { value = 9.0", "must exceed g_min_uS"),
        ('law = "soft-bounds"', 'law = "soft-bound"', "did you mean 'soft-bounds'"),
        ('technology = "RRAM (HfO2)"\n', "", "technology"),
        ('technology = "RRAM', 'technologie = "RRAM', "did you mean 'technology'"),
        ('source = "engineering assumption" }', 'source = "" }', "program_pulses.source"),
        ("[parameters]\n", "", "parameters"),
    ],
)
def test_a_damaged_card_is_refused_in_one_line(tmp_path, old, new, said):
    assert CARD.count(old) >= 1
    with pytest.raises((ConfigError, UnknownNameError)) as caught:
        load_text(tmp_path, CARD.replace(old, new))
    message = one_line(caught.value)
    assert said in message


def test_a_card_without_a_needed_parameter_names_it(tmp_path):
    lines = [line for line in CARD.splitlines() if not line.startswith("g_max_uS")]
    with pytest.raises(ConfigError, match=r"g_max_uS.*required") as caught:
        load_text(tmp_path, "\n".join(lines))
    one_line(caught.value)


@pytest.mark.parametrize(
    "text",
    [CARD[: len(CARD) // 2], "name = ", "\x00", b"\xff\xfe\x00", b"", "name = 1\nname = 2"],
    ids=["cut", "no value", "null", "not utf-8", "empty", "twice"],
)
def test_a_file_that_is_no_toml_card_is_refused_in_one_line_naming_the_file(tmp_path, text):
    with pytest.raises(ConfigError, match=r"mine\.toml") as caught:
        load_text(tmp_path, text)
    one_line(caught.value)


def test_a_missing_file_a_folder_and_an_unknown_name_say_so(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises((ConfigError, UnknownNameError)) as caught:
            devices.load(path)
        assert path.name in one_line(caught.value)
    with pytest.raises(UnknownNameError, match=f"did you mean '{PCM}'") as caught:
        devices.load("pcm-nandakumar-2019")
    one_line(caught.value)


def test_entry_points_list_the_built_ins():
    laws = {
        "ideal",
        "pcm-accumulative",
        "constant-step",
        "linear-step",
        "soft-bounds",
        "exp-step",
        "power-step",
    }
    assert laws | {"nonlinearity-label"} <= set(registry.names("device law"))
    assert {"softhebb", "softhebb-paper"} <= set(registry.names("rule"))
    assert "neurosim" in registry.names("card folder")
    for kind in ("device law", "rule", "card folder"):
        for name in registry.names(kind):
            assert registry.find(kind, name)
    for name in registry.names("device law"):
        assert registry.find("device law", name).law == name
    for name in registry.names("rule"):
        assert registry.find("rule", name).name == name


def test_an_unknown_entry_gets_the_nearest_name():
    with pytest.raises(UnknownNameError, match="did you mean 'softhebb'"):
        registry.find("rule", "softheb")


def test_another_packages_law_and_cards_are_found_by_entry_point(tmp_path):
    """A third party registers a law and a folder of cards; a broken registration is a ConfigError."""
    package = tmp_path / "acme"
    (package / "cards").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "from neurosim.devices.rram import SoftBounds\n"
        "CARDS = Path(__file__).with_name('cards')\n"
        "class AcmeBounds(SoftBounds):\n"
        "    law = 'acme-bounds'\n"
    )
    text = CARD.replace(HFO2, "acme-1").replace('"soft-bounds"', '"acme-bounds"')
    (package / "cards" / "acme-1.toml").write_text(text)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[neurosim.laws]\nacme-bounds = acme:AcmeBounds\nbroken = acme.nowhere:Law\n"
        "[neurosim.cards]\nacme = acme:CARDS\n"
    )
    program = (
        "import neurosim as ns\n"
        "from neurosim.core import registry, errors\n"
        "array = ns.Crossbar((3, 2), 'acme-1')\n"
        "array.program([[0.5, -0.5]] * 3)\n"
        "print(array.device.law, array.update([[1, 1, 1]], [[0.3, 0.3]]) >= 0)\n"
        "try:\n"
        "    registry.find('device law', 'broken')\n"
        "except errors.ConfigError as error:\n"
        "    print(error)\n"
    )
    env = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "NEUROSIM_CACHE": str(tmp_path),
        "NUMBA_DISABLE_JIT": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "acme-bounds True"
    assert "'broken' is registered but cannot be imported" in done.stdout.splitlines()[1]
