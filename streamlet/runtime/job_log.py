"""The log file of one run: everything the engine says while it runs, from INFO on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path


def open_log(home: Path, job_name: str, run_id: str) -> Callable[[], None]:
    """Opens `logs/<job name>/<run id>.log` below `home`; what is returned closes it again."""
    path = home / "logs" / job_name / f"{run_id}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("streamlet")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def close() -> None:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()

    return close
