"""Which kept runs chose an experiment's settings: all on validation images, so that the test set is read once, at the end."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.core.errors import ConfigError
from neurosim.study.store import FILES, read_json

if TYPE_CHECKING:
    from neurosim.study.experiment import Experiment


def chosen_on(experiment: Experiment) -> list[dict[str, Any]]:
    """Return the kept runs that an experiment says chose its settings.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    found : list of dict
        ``file`` as the experiment names it, its ``sha256``, the ``kind`` of study, how many points or arms it has
        (``tried``), the ``images`` that it reports on, and its ``source`` and ``commit``.

    Raises
    ------
    ConfigError
        If a file is not there, holds no results, or reports on a test set.
    """
    return [_looked_at(name) for name in experiment.chosen_on]


def _looked_at(name: str) -> dict[str, Any]:
    path = Path(name)
    files = [path] if path.is_file() else [path / file for file in FILES if (path / file).is_file()]
    if not files:
        raise ConfigError(
            f"chosen_on: {name}: neither a file of results nor a folder with {' or '.join(FILES)}"
        )
    results = read_json(files[0])
    data = results.get("data") if isinstance(results, dict) else None
    if not isinstance(data, dict) or "reported_on" not in data:
        raise ConfigError(f"chosen_on: {files[0]}: these are no results of a study")
    if data["reported_on"] != "validation split":
        raise ConfigError(
            f"chosen_on: {files[0]} reports on the {data['reported_on']}: settings that were chosen by it have seen those "
            "images. Choose them on validation images (hold_out = true, --hold-out), and name those results"
        )
    made = results.get("versions", {})
    return {
        "file": name,
        "sha256": hashlib.sha256(files[0].read_bytes()).hexdigest()[:16],
        "kind": results.get("kind", "dense"),
        "tried": len(results.get("points") or results.get("summary") or ()),
        "images": data["reported_on"],
        **{field: made[field] for field in ("source", "commit") if field in made},
    }
