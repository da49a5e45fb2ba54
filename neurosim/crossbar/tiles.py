"""How a layer is spread over physical arrays: the rows and signed columns of each tile."""

from __future__ import annotations

from typing import NamedTuple

from neurosim.core.config import WritePath
from neurosim.core.hardware import Tiles
from neurosim.kernels.products import even_blocks


class Tile(NamedTuple):
    """One physical array: word lines and signed columns of the layer that it holds."""

    rows: slice
    cols: slice


def tile_grid(
    shape: tuple[int, int], tiles: Tiles | None, write: WritePath
) -> tuple[list[slice], list[slice]]:
    """Return the rows of each row of tiles and the signed columns of each column of tiles.

    Tiles are as few and as even as their largest size allows. A signed column takes two bit lines; of a separate
    pair one in each of two arrays; with an offset column one, and the tile one more.
    """
    tiles = tiles or Tiles()
    most_rows, most_cols = tiles.word_lines or shape[0], shape[1]
    if tiles.bit_lines is not None:
        offset = write.mapping == "offset"
        most_cols = (
            tiles.bit_lines - 1 if offset else tiles.bit_lines // (1 if write.pair == "separate" else 2)
        )
    return (
        [slice(*block) for block in even_blocks(shape[0], most_rows)],
        [slice(*block) for block in even_blocks(shape[1], most_cols)],
    )


def tile_list(shape: tuple[int, int], tiles: Tiles | None, write: WritePath) -> list[Tile]:
    """Return the tiles of a layer, one row of tiles after the other."""
    down, across = tile_grid(shape, tiles, write)
    return [Tile(rows, cols) for rows in down for cols in across]
