"""Whether `neurosim fit` names the law that made the data, says that it cannot tell, or is wrong without a word.

nice python -m benchmarks.fit_laws --sets 8 --out results/fit-laws.json

Sets of fixed designs, drawn with numpy alone: three laws of small steps (the generator of `benchmarks.fit_grid`) and phase-change
memory. Each set is written as a file, read and fitted as a user would, without the repetition on resamples, which follows the choice.
Finished sets are kept in --out, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fit_grid import DESIGNS, LAWS, Values, drawn
from neurosim import set_threads
from neurosim.core.errors import NeurosimError
from neurosim.devices.fitting import fit
from neurosim.report.text import made_with, markdown_table
from neurosim.study.store import read_json, versions, write_json, write_text

MOST_PULSES = 1500
SMALL = tuple(
    design._replace(cycles=max(1, min(design.cycles, MOST_PULSES // (design.devices * design.ramp))))
    for design in DESIGNS
)
"""The designs of `benchmarks.fit_grid`, with so few cycles that no more SET pulses are given in all, where one cycle can be that short."""
PCM = "pcm-accumulative"
TRAINS = ((30, 20, 2), (10, 20, 12), (1, 20, 12), (5, 40, 4))
"""Devices, SET pulses after each RESET, and how many such trains."""
LIKE_NANDAKUMAR = {
    "mean": (-0.084, 0.88, 1.4), "sigma": (0.091, 0.26, 2.15), "memory": 2.6, "reset": (0.1, 0.01), "window": (0.1, 12.0),
}  # fmt: skip
"""Numbers of the card pcm-nandakumar-2018, drawn here without its code."""
OUTCOMES = ("right", "cannot tell", "wrong", "no card")
MOST_WRONG = 0.02


def drawn_pcm(train: tuple[int, int, int], draws: np.random.Generator) -> tuple[Values, list[int]]:
    """Return reads (rows, devices) and pulses of phase-change memory; the first row is read after a RESET."""
    devices, sets, trains = train
    numbers: Any = LIKE_NANDAKUMAR
    (m, c, a), (sm, sc, sa) = numbers["mean"], numbers["sigma"]
    sign = ([*[1] * sets, -1] * trains)[:-1]
    rows, g, count = [], np.zeros(devices), 0
    for way in (-1, *sign):
        xi = draws.standard_normal(devices)
        if way < 0:
            g, count = numbers["reset"][0] + numbers["reset"][1] * xi, 0
        else:
            count += 1
            first = np.exp(-count / numbers["memory"])
            g = np.clip(g + m * g + c + a * first + (sm * g + sc + sa * first) * xi, *numbers["window"])
        rows.append(g)
    return np.array(rows), sign


def cases() -> list[tuple[str, int]]:
    """Return every law with the place of each of its designs."""
    small = list(itertools.product(LAWS, range(len(SMALL))))
    return small + [(PCM, place) for place in range(len(TRAINS))]


def words(law: str, place: int) -> str:
    """Return a design in words."""
    if law != PCM:
        return SMALL[place].words
    devices, sets, trains = TRAINS[place]
    return f"{trains} x {sets} SET, {devices} device{'s' if devices > 1 else ''}"


def written(law: str, place: int, seed: int, folder: Path) -> Path:
    """Write one set as a file of pulses."""
    draws = np.random.default_rng([seed, place, [*LAWS, PCM].index(law)])
    if law == PCM:
        reads, sign = drawn_pcm(TRAINS[place], draws)
    else:
        traces = drawn(law, SMALL[place], draws).pulses.traces
        reads, sign = np.stack([t.conductance_uS for t in traces], axis=1), list(traces[0].sign[1:])
    names = ["", *("SET" if way > 0 else "RESET" for way in sign)]
    lines = [
        f"{device},{row},{name},{reads[row, device]:.8g}"
        for device in range(reads.shape[1])
        for row, name in enumerate(names)
    ]
    file = folder / "drawn.csv"
    file.write_text("\n".join(["device,pulse,polarity,conductance_uS", *lines]) + "\n", encoding="utf-8")
    return file


def chosen(law: str, place: int, seed: int) -> dict[str, Any]:
    """Return the law of the card, BIC of all above it, those refused, and what the card says of the choice."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = fit([written(law, place, seed, Path(folder))], resamples=0)
        except NeurosimError as error:
            return {"outcome": "no card", "why": str(error).replace(folder, "")}
    best = found.ranking[0]
    said = [note for note in found.card.notes if note.startswith(("The data do not tell", "Not ruled out"))]
    named = any(law in note for note in said)
    return {
        "outcome": "right" if best.law == law else "cannot tell" if named else "wrong",
        "law": best.law,
        "above": {one.law: round(one.bic - best.bic, 1) for one in found.ranking[1:]},
        "refused": found.refused,
        "said": said,
        "seconds": round(time.perf_counter() - started, 1),
    }


def _job(job: tuple[str, int, int]) -> tuple[str, dict[str, Any]]:
    return " ".join(map(str, job)), chosen(*job)


def page(result: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    sets = list(result["sets"].values())
    counts = {outcome: sum(one["outcome"] == outcome for one in sets) for outcome in OUTCOMES}
    share = 100 * counts["wrong"] / len(sets)
    head = (
        f"Of {len(sets)} sets, {counts['right']} have the card of the right law, {counts['cannot tell']} another with a note that "
        f"names the right one as not told apart, {counts['wrong']} ({share:.1f} %) another without a word, and {counts['no card']} "
        f"no card. Of the right ones {sum(one['outcome'] == 'right' and bool(one['said']) for one in sets)} have such a note, too."
    )
    rows = []
    for law, place in cases():
        own = [one for key, one in result["sets"].items() if key.startswith(f"{law} {place} ")]
        others = sorted({one["law"] for one in own if one.get("law", law) != law})
        rows.append(
            [f"`{law}`", words(law, place), str(len(own))]
            + [str(sum(one["outcome"] == outcome for one in own)) for outcome in OUTCOMES[:3]]
            + [", ".join(f"`{name}`" for name in others)]
        )
    heads = ("law behind the data", "design", "sets", "right", "cannot tell", "wrong", "taken instead")
    first = " ".join((__doc__ or "").split("\n\n")[0].split())
    how = " ".join((__doc__ or "").split("\n\n")[2].split("Finished")[0].split())
    return f"# fit-laws\n\n{first}\n\n{head}\n\n{markdown_table(heads, rows)}\n{how}\n"


def main() -> None:
    """Fit what is missing, keep all, and write the page beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=8, help="of each design")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/fit-laws.json"))
    given = parser.parse_args()
    kept: dict[str, Any] = read_json(given.out)["sets"] if given.out.exists() else {}
    jobs = [
        (law, place, seed)
        for seed, (law, place) in itertools.product(range(given.sets), cases())
        if f"{law} {place} {seed}" not in kept
    ]
    with ProcessPoolExecutor(given.workers, initializer=set_threads, initargs=(1,)) as pool:
        for key, found in pool.map(_job, jobs):
            kept[key] = found
            write_json(given.out, {"sets": kept, "versions": versions()})
            print(key, found["outcome"], found.get("law"), found.get("seconds"), flush=True)
    result = {"sets": kept, "versions": versions()}
    write_json(given.out, result)
    write_text(given.out.with_suffix(".md"), f"{page(result).rstrip()}\n\n{made_with(result)}")
    print(page(result).split("\n\n")[2])


if __name__ == "__main__":
    main()
