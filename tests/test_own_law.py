"""A law of one's own, as docs/your_own_device.md has it: from a file beside its card, through the public door."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from own_law_helpers import CARD, LAW, write_own_law

from neurosim import devices
from neurosim.core.errors import ConfigError
from neurosim.devices.card import CARDS
from neurosim.reference.agreement import compare_operations


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_own_law(tmp_path).parent


def run(folder: Path, *words: str) -> str:
    env = {**os.environ, "NEUROSIM_CARDS": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", "from neurosim.cli import main; main()", *words],
        check=False, env=env, cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_law_is_fifteen_lines_and_its_twin_a_few_more():
    law, _, twin = LAW.partition("    @classmethod\n")
    code = [line for line in law.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 15
    assert len(twin.splitlines()) <= 12


def test_it_is_listed_checked_and_learns(folder):
    assert "my-device" in run(folder, "devices", "list")
    assert "BROKEN" not in run(folder, "devices", "check", "my-device")
    said = run(
        folder, "compare", "--dataset", "digits", "--rule", "softhebb", "--device", "my-device.toml",
        "--neurons", "20", "--train-images", "200", "--seeds", "1", "--out", "o",
    )  # fmt: skip
    assert "my-device" in said
    assert (folder / "o" / "results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("noise", [True, False])
def test_both_backends_agree_on_it(folder, noise):
    law = devices.load(folder / "my-device.toml")
    for line in compare_operations(law, "float32", noise):
        assert line.holds, line


def test_a_step_is_the_one_written_down(folder):
    law = devices.load(folder / "my-device.toml").without_noise()
    traces = devices.pulse_response(law, [1], 1)
    assert traces[1, 0] - traces[0, 0] == pytest.approx(law.step * law.span_uS)
    assert law.nominal_step_uS == pytest.approx(law.step * law.span_uS)


def test_a_changed_file_is_another_law(folder):
    before = devices.load(folder / "my-device.toml")
    text = LAW.replace("np.float32(1) -", "np.float32(0.5) -")
    assert text != LAW
    (folder / "knee.py").write_text(text, encoding="utf-8")
    after = devices.load(folder / "my-device.toml")
    assert type(before) is not type(after)
    one, other = (devices.pulse_response(law.without_noise(), [1], 1) for law in (before, after))
    assert (other[1] - other[0]) == pytest.approx(0.5 * (one[1] - one[0]), rel=1e-4)


def test_kernels_of_a_law_that_is_gone_do_not_disturb_others(folder):
    run(folder, "devices", "check", "my-device")
    (folder / "my-device.toml").unlink()
    (folder / "knee.py").unlink()
    run(folder, "devices", "check", "spec-idealised-rasch-2019")


def test_a_process_that_started_earlier_finds_laws_that_came_later(folder):
    """Another process compiles a kernel for an own law; this one then reads the same index of compiled kernels."""
    program = (
        "import subprocess, sys\n"
        "from neurosim.kernels import cells\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1], 'devices', 'check', 'my-device'], check=True)\n"
        "from neurosim import devices\n"
        "print(all(clause.holds for clause in devices.check('spec-idealised-rasch-2019')))\n"
    )
    env = {**os.environ, "NEUROSIM_CARDS": str(folder), "NEUROSIM_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program, "from neurosim.cli import main; main()"],
        check=False, env=env, cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "True", done.stderr


@pytest.mark.parametrize(
    ("law", "said"),
    [
        ("missing.py:Knee", "missing.py"),
        ("knee.py:Nee", "unknown device law 'Nee' in knee.py; did you mean 'Knee'?"),
        ("knee.py:np", "knee.py:np: this is none: a law is a class derived from"),
        ("knee.py", "say which device law of it, knee.py:Knee"),
        ("broken.py:Knee", "SyntaxError"),
        ("knees", "unknown device law 'knees'"),
    ],
)
def test_a_wrong_law_is_refused_in_one_line(folder, law, said):
    (folder / "broken.py").write_text("def (", encoding="utf-8")
    text = CARD.replace("knee.py:Knee", law)
    (folder / "my-device.toml").write_text(text, encoding="utf-8")
    with pytest.raises(Exception, match=re.escape(said)) as caught:
        devices.load(folder / "my-device.toml")
    assert "\n" not in str(caught.value)


def test_a_cards_folder_that_is_missing_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("NEUROSIM_CARDS", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="NEUROSIM_CARDS"):
        devices.cards()
    monkeypatch.setenv("NEUROSIM_CARDS", str(CARDS))
    assert devices.cards()
