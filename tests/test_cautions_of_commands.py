"""A command says each caution once, however often and wherever it was given, with a remedy for who has no Python at hand."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path

import pytest
from helpers import PCM

from neurosim.cli.app import main
from neurosim.core.cautions import ClippingWarning, StillWarning, during, gathered


class TestCautions:
    def test_one_is_said_once_with_its_count_and_its_places(self) -> None:
        with gathered(alone=True) as found:
            for seed in range(20):
                with during(f"device, seed {seed}"):
                    warnings.warn(
                        ClippingWarning(f"{seed} % of conversions", "call calibrate(x)"), stacklevel=1
                    )
            with during("other, seed 0"):
                warnings.warn("micro has no retention", StillWarning, stacklevel=1)
        clipping, still = found.said.values()
        assert (clipping.count, still.count) == (20, 1)
        assert "20 times (device, seeds 0, 1, 2" in clipping.sentence
        assert "calibrate" not in clipping.sentence
        assert "adc_range_uS" in clipping.sentence
        assert still.sentence == "once (other, seed 0): micro has no retention."

    def test_in_python_the_words_are_as_they_were(self) -> None:
        with pytest.warns(ClippingWarning, match=r"^3 % of it; call calibrate\(x\)$"):
            warnings.warn(ClippingWarning("3 % of it", "call calibrate(x)"), stacklevel=1)

    @pytest.mark.parametrize("workers", [1, 2])
    def test_a_command_says_each_once(self, workers, tmp_path, monkeypatch, capsys) -> None:
        """Of a range that is far too narrow, by the same words whoever carries out the runs."""
        monkeypatch.chdir(tmp_path)
        Path("e.toml").write_text(
            'dataset = "digits"\ntrain_images = 60\ntest_images = 20\nneurons = 8\nepochs = 1\nseeds = 2\n'
            f'device = ["{PCM}"]\n[read]\nadc_bits = 6\nadc_range_uS = 0.01\n'
        )
        command = ["neurosim", "compare", "e.toml", "--out", "o", "--workers", str(workers)]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setattr(sys, "warnoptions", [])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        said = [line for line in capsys.readouterr().err.splitlines() if "ClippingWarning" in line]
        assert len(said) == 1
        assert re.search(rf"ClippingWarning, \d+ times \({PCM}, seeds 0, 1\): ", said[0])
        assert "under [read]" in said[0]
