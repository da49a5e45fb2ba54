"""How a layer is spread over physical arrays: the rows and signed columns of each tile."""

from __future__ import annotations

from typing import NamedTuple

from neurosim.core.errors import InputError
from neurosim.core.hardware import Tiles
from neurosim.kernels.read import even_blocks


class Tile(NamedTuple):
    """One physical array: word lines and signed columns of the layer that it holds."""

    rows: slice
    cols: slice


def tile_grid(
    shape: tuple[int, int], tiles: Tiles | None, lines_per_column: int
) -> tuple[list[slice], list[slice]]:
    """Return the rows of each row of tiles and the signed columns of each column of tiles.

    Tiles are as few and as even as their largest size allows.

    Raises
    ------
    InputError
        If a tile has fewer bit lines than one signed column needs.
    """
    tiles = tiles or Tiles()
    if tiles.bit_lines is not None and tiles.bit_lines < lines_per_column:
        raise InputError(f"tiles.bit_lines = {tiles.bit_lines}: a signed column takes {lines_per_column}")
    most_rows = tiles.word_lines or shape[0]
    most_cols = shape[1] if tiles.bit_lines is None else tiles.bit_lines // lines_per_column
    return (
        [slice(*block) for block in even_blocks(shape[0], most_rows)],
        [slice(*block) for block in even_blocks(shape[1], most_cols)],
    )


def tile_list(shape: tuple[int, int], tiles: Tiles | None, lines_per_column: int) -> list[Tile]:
    """Return the tiles of a layer, one row of tiles after the other."""
    down, across = tile_grid(shape, tiles, lines_per_column)
    return [Tile(rows, cols) for rows in down for cols in across]
