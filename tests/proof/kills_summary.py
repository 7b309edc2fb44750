"""What a campaign of kills has done so far."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field

DECILES = 10


@dataclass(slots=True)
class Summary:
    """Counts; `positions` and `progress` tell where in a job's life the kills landed."""

    seed: int
    jobs: int = 0
    """Jobs that finished with the golden answer."""
    runs: int = 0
    kills: int = 0
    """Only those that met a living process."""
    records_checked: int = 0
    """Visible records compared with the golden answer, after each run."""
    divergences: int = 0
    hangs: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    progress: list[int] = field(default_factory=lambda: [0] * DECILES)
    """Kills by the tenth of the golden answer that was visible then."""
    started_s: float = field(default_factory=time.monotonic)

    @property
    def is_clean(self) -> bool:
        return not self.divergences and not self.hangs

    def add_kill(self, position: str, progress: float) -> None:
        self.kills += 1
        self.positions[position] = self.positions.get(position, 0) + 1
        self.progress[min(int(progress * DECILES), DECILES - 1)] += 1

    def as_json(self) -> str:
        told = asdict(self)
        told["seconds"] = round(time.monotonic() - told.pop("started_s"), 1)
        return json.dumps(told)
