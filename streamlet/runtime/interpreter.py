"""How the interpreter is set while jobs run: for long loops over many small objects."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

SWITCH_INTERVAL_S: Final = 0.0005
"""Background threads must give the GIL back soon, or the loop wakes late."""

GC_THRESHOLD: Final = (50_000, 1, 1_000)
"""Records are many, short-lived and free of cycles: looking for cycles every 700 objects, as the
default does, costs a window job half its time. With the first number sliding windows of 10,000 keys
hardly ever begin to look; 20,000 cost them a tenth. A look at the second generation stops the loop
for as long as its 150,000 objects take, some 10 ms (a million of them: 70 ms)."""


@contextmanager
def tuned_interpreter() -> Iterator[None]:
    """Sets switch interval and garbage collection, and puts back what was there before."""
    interval_s, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.set_threshold(*GC_THRESHOLD)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.set_threshold(*threshold)
