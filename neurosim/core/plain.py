"""Text from elsewhere (names, notes, paths) as it may reach a terminal: nothing in it moves the cursor or colours."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return text with line ends as they are and every other character that cannot be printed written as its escape."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )
