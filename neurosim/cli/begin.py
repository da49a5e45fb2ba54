"""`neurosim init` and `neurosim info`: an experiment file to begin with, and what this machine has."""

from __future__ import annotations

import importlib.util
import os
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from neurosim.cli.terminal import console, say
from neurosim.core.errors import InputError, UnknownNameError

MOST_NAMES = 12
EXAMPLES = files("neurosim.cli") / "experiments"


def examples() -> list[str]:
    """Return the commands that have an experiment file to begin with."""
    return sorted(
        each.name.removesuffix(".toml") for each in EXAMPLES.iterdir() if each.name.endswith(".toml")
    )


def init_command(
    command: Annotated[
        str, typer.Argument(metavar="COMMAND", help="compare, deep, ff, mortal, spikes or sweep.")
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE.toml", help="Where to write it; default COMMAND.toml.")
    ] = None,
) -> None:
    """Write an experiment file to edit: small, commented, on images that are bundled. Nothing is overwritten."""
    if command not in examples():
        raise UnknownNameError("command", command, examples(), " with an experiment file")
    file = file or Path(f"{command}.toml")
    text = (EXAMPLES / f"{command}.toml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as written:
            written.write(text.replace(f"{command} {command}.toml", f"{command} {file}"))
    except FileExistsError:
        raise InputError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}") from None
    say(f"{file}; run it: neurosim {command} {file} --out out/{file.stem}")


def info_command() -> None:
    """Say what this machine has: versions, threads, BLAS, GPU, where data are looked for and which are found."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in facts().items():
        table.add_row(name, value)
    console().print(table)


def facts() -> dict[str, str]:
    """Return what `neurosim info` says, by name."""
    import neurosim
    from neurosim.core.compiled_folder import cache_folder
    from neurosim.data.locate import VARIABLE, folders
    from neurosim.kernels.jit import threads
    from neurosim.study.store import versions

    found = {name: value for name, value in versions().items() if name != "neurosim"}
    return {
        "neurosim": f"{neurosim.__version__}, {Path(neurosim.__file__).parent}",
        **found,
        "processors": f"{os.cpu_count()}, {threads()} of them used",
        "BLAS": ", ".join(_blas()) or "not found",
        "GPU": _gpu(),
        "brian2": "installed" if importlib.util.find_spec("brian2") else "not installed: pip install brian2",
        "compiled kernels": str(cache_folder()),
        "data": f"digits are bundled; {VARIABLE} names folders of others",
        "data looked for in": "\n".join(map(_held, folders("mnist"))),
    }


def _held(folder: Path) -> str:
    """Return a folder with the first names in it, by which its owner sees whether data are there."""
    if not folder.is_dir():
        return f"{folder} (no such folder)"
    held = sorted(each.name for each in folder.iterdir())
    more = ", ..." if len(held) > MOST_NAMES else ""
    return f"{folder} ({', '.join(held[:MOST_NAMES]) or 'empty'}{more})"


def _blas() -> list[str]:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.dot(np.ones(2), np.ones(2))
    return [
        f"{each['internal_api']} {each.get('version') or ''}".strip()
        for each in threadpool_info()
        if each["user_api"] == "blas"
    ]


def _gpu() -> str:
    import torch

    if not torch.cuda.is_available():
        return "none that torch sees"
    properties: Any = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
