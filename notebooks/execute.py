"""Execute every notebook of this folder, or those whose names begin as given: ``execute.py 05 06``.

Each ``NN_*.py`` (jupytext, py:percent) is run by the interpreter that runs this script, and the executed
``.ipynb`` is written beside it, free of timings, paths and random cell names. With NEUROSIM_QUICK=1 (as in
CI) the notebooks run in their short form, nothing is written, and an error in a cell is all that matters.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 600
LARGEST_BYTES = 1_200_000


class ThisInterpreter(KernelSpecManager):
    """Whatever kernels are installed, start the one of the running interpreter."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return a specification that starts ``sys.executable``."""
        options = ["-f", "{connection_file}", "--log-level=ERROR"]
        command = [sys.executable, "-m", "ipykernel_launcher", *options]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def executed(source: Path) -> nbformat.NotebookNode:
    """Run one notebook and return it with its outputs; raises `CellExecutionError`."""
    notebook = jupytext.read(source)
    client = NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_spec_manager=ThisInterpreter()),
        timeout=TIMEOUT_S,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(HERE)}},
    )
    client.execute()
    return notebook


def stable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep what depends on the notebook alone; the same source gives the same file."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = [_without_text_of_figure(output) for output in cell.outputs]
    return notebook


def _without_text_of_figure(output: Any) -> Any:
    if "image/png" in output.get("data", {}):
        output.data.pop("text/plain", None)
        output.metadata = nbformat.from_dict({})
    return output


def fault(notebook: nbformat.NotebookNode) -> str | None:
    """Say why an executed notebook must not be committed, if so."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                return f"a cell writes to standard error: {output.text.strip()}"
    text = nbformat.writes(notebook)
    for path in (str(HERE.parent), str(Path.home()) + os.sep, sys.prefix):
        if path in text:
            return f"the output contains a path of this machine: {path}"
    if len(text.encode()) > LARGEST_BYTES:
        return f"{len(text.encode())} bytes are more than {LARGEST_BYTES}; draw smaller figures"
    return None


def main(wanted: list[str]) -> int:
    """Execute the notebooks wanted, all if none is named; 1 if one fails, 2 if a name fits none."""
    quick = os.environ.get("NEUROSIM_QUICK") == "1"
    sources = sorted(HERE.glob("[0-9][0-9]_*.py"))
    for name in wanted:
        if not any(source.name.startswith(name) for source in sources):
            print(f"{name}: no notebook begins so", file=sys.stderr)
            return 2
    for source in sources:
        if wanted and not source.name.startswith(tuple(wanted)):
            continue
        started = time.perf_counter()
        try:
            notebook = executed(source)
        except CellExecutionError as error:
            print(f"{source.name}: {error}", file=sys.stderr)
            return 1
        seconds = time.perf_counter() - started
        if not quick:
            found = fault(stable(notebook))
            if found:
                print(f"{source.name}: {found}", file=sys.stderr)
                return 1
            nbformat.write(notebook, source.with_suffix(".ipynb"))
        print(f"{source.name}: {seconds:.1f} s{', not written' if quick else ''}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
