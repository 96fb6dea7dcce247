"""What a cell of a table holds: nothing, or a text."""

from __future__ import annotations

import math
from typing import Any


def is_empty(cell: Any) -> bool:
    """Whether there is nothing in a cell."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    return (isinstance(cell, str) and not cell.strip()) or cell in ([], ())


def text(cell: Any) -> str:
    """A cell as text; whole numbers without a decimal point."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
