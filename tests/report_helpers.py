"""What the tests of the report share: results and pictures made up, pages taken apart."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from neurosim.study.compare import summarise
from neurosim.study.store import pack_bits, write_arrays

NOTE = "CIFAR-10 (JPEG q75)"
SHAPE = (6, 6, 1)
ODD = 'a <b>&"$x$" arm'
IMAGES = 500
LIMIT_BYTES = 3_000_000


def energy(factor: float) -> dict[str, float]:
    """An energy entry whose parts add up, for 3600 synapses and 100 updates."""
    write, refresh, readback, periphery = 2e-9 * factor, 1e-9, 3e-9 * factor, 8e-7
    update = write + refresh + readback
    return {
        "update_J": update,
        "update_J_per_synapse": update / 360_000,
        "update_J_per_pulse": update / 9000,
        "update_J_per_synapse_with_periphery": (update + periphery) / 360_000,
        "write_J": write,
        "refresh_J": refresh,
        "readback_J": readback,
        "pulses": 9000,
        "updates": 100,
        "refreshed_pairs": 7,
        "rows_read_back": 12,
    }


def run(arm: str, place: int, seed: int) -> dict[str, Any]:
    """One entry of the results' `runs`; later arms are worse and the seeds differ."""
    draws = np.random.default_rng(100 * place + seed)
    correct = {
        "accuracy": draws.random(IMAGES) < 0.93 - 0.013 * place,
        "vote": draws.random(IMAGES) < 0.85 - 0.04 * place,
    }
    accuracy, vote = (float(bits.mean()) for bits in correct.values())
    curve = [[100 * k, 0.2 + (vote - 0.2) * (1 - np.exp(-k / 3))] for k in range(11)]
    found = {
        "arm": arm,
        "seed": seed,
        "accuracy": accuracy,
        "accuracy_triangle": accuracy + 0.02,
        "vote": vote,
        "neurons_used": 90,
        "correct": {score: pack_bits(bits) for score, bits in correct.items()},
        "test_size": IMAGES,
        "untrained": {"accuracy": 0.71, "accuracy_triangle": 0.72, "vote": 0.21},
        "seconds": 1.5,
        "curve": curve,
        "norm_mean": 1.01,
        "norm_tracking_error": 0.02,
    }
    return found if arm == "ideal" else {**found, "energy": energy(1 + place), "adc_clipped_share": 1e-6}


def results(arms: list[str], seeds: int = 3, shape: tuple[int, int, int] = SHAPE) -> dict[str, Any]:
    """Results in the form that `compare` returns."""
    names = ["ideal", *arms]
    runs = [run(arm, place, seed) for seed in range(seeds) for place, arm in enumerate(names)]
    settings = {"dac_bits": 8, "adc_bits": None, "read_noise": "card", "adc_range_uS": None, "drift": True}
    return {
        "runs": runs,
        "summary": summarise(runs),
        "baselines": [{"name": "raw pixels", "accuracy": 0.9012, "accuracy_ci95": [0.88, 0.92]}],
        "data": data(shape),
        "config": {
            "rule": "softhebb",
            "neurons": 100,
            "batch": 8,
            "first_seed": 0,
            "write": {"w_max": 1.0, "refresh": None},
            "periphery": {"name": "zigzag-0.9V + horowitz-45nm, lower bound"},
            "arms": [
                {"name": arm, "device": f"card-{k}", "mode": "mixed", "read": settings, "write": {}}
                for k, arm in enumerate(arms)
            ],
        },
        "versions": {"neurosim": "0.1.0", "numpy": "2.3.5"},
    }


def older(found: dict[str, Any]) -> dict[str, Any]:
    """The same results as versions wrote them that kept no images and had intervals over seeds alone."""
    runs = [{key: value for key, value in run.items() if key != "correct"} for run in found["runs"]]
    summary = []
    for arm in summarise(runs):
        new = {key for key in arm if key.endswith(("_interval", "_p", "verdict"))}
        seeds = {key.replace("_interval", "_ci95"): arm[key] for key in new if key.endswith("_interval")}
        summary.append({key: value for key, value in {**arm, **seeds}.items() if key not in new})
    return {**found, "runs": runs, "summary": summary}


def data(shape: tuple[int, int, int] = SHAPE) -> dict[str, Any]:
    """The entry `data` of results."""
    return {
        "note": NOTE,
        "image_shape": shape,
        "train_images": 1000,
        "test_images": IMAGES,
        "reported_on": "validation split",
    }


def held(arm: str, shape: tuple[int, int, int] = SHAPE, shown: int = 40) -> dict[str, np.ndarray]:
    """Pictures of an arm: noise before, a gradient with noise after."""
    draws = np.random.default_rng(len(arm))
    rows = int(np.prod(shape))
    before = draws.random((rows, shown), np.float32)
    found = {"before.weights": before, "after.weights": np.linspace(-1, 1, rows)[:, None] * before}
    if arm != "ideal":
        for moment, mean in (("before", 10), ("after", 20)):
            counts, edges = np.histogram(draws.normal(mean, 4, 5000), np.linspace(0, 40, 81))
            found |= {f"{moment}.histogram": counts, f"{moment}.edges_uS": edges}
    return found


def folder_with(folder: Path, found: dict[str, Any], drawn: bool = True) -> Path:
    """Write results into a folder as the studies do."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(found))
    for arm in [entry["arm"] for entry in found["summary"]] if drawn else []:
        write_arrays(folder / f"pictures-{arm}.npz", held(arm, tuple(found["data"]["image_shape"])))
    return folder


class Links(HTMLParser):
    """Collects what a page would load, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the addresses of a tag and remember it as open."""
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag, which must be the last one opened."""
        assert self.open.pop() == tag


def check_page(path: Path) -> str:
    """Assert that a report stands alone and is small; return its text without pictures and tied spaces."""
    html = path.read_text(encoding="utf-8")
    links = Links()
    links.feed(html)
    assert not links.open
    assert all(address.startswith("data:image/") for address in links.addresses)
    assert path.stat().st_size < LIMIT_BYTES
    without = re.sub(r'src="data:[^"]*"', "", html)
    assert not re.search(
        r"https?://|file:|url\(|@import|<script|<link|" + re.escape(str(path.parent)), without
    )
    return without.replace("\u00a0", " ")


def cells(html: str, table: str) -> dict[str, list[str]]:
    """Rows of one table as text, by their first cell."""
    body = html.split(f'id="{table}"')[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = [
        [
            unescape(re.sub(r"<small>.*?</small>|<[^>]+>", "", cell))
            for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)
        ]
        for row in body.split("</tr>")
    ]
    return {row[0]: row[1:] for row in rows if row}


def printed(table: Any) -> str:
    """A rich table as plain text."""
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()
