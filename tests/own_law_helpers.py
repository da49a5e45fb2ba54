"""The law of one's own of docs/your_own_device.md with its card, as files beside each other."""

from __future__ import annotations

import re
from pathlib import Path

from helpers import ROOT

_PAGE = (ROOT / "docs" / "your_own_device.md").read_text(encoding="utf-8")
(LAW,) = re.findall(r"```python\n(# knee\.py\n.*?)```", _PAGE, flags=re.DOTALL)
(CARD,) = re.findall(r"```toml\n(# my-device\.toml\n.*?)```", _PAGE, flags=re.DOTALL)


def write_own_law(folder: Path) -> Path:
    """Write both files; returns the card."""
    (folder / "knee.py").write_text(LAW, encoding="utf-8")
    (folder / "my-device.toml").write_text(CARD, encoding="utf-8")
    return folder / "my-device.toml"
