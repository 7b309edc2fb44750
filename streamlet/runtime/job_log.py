"""The log file of one run: everything the engine says while it runs, from INFO on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger("streamlet")


def open_log(home: Path, job_name: str, run_id: str) -> Callable[[], None]:
    """Opens `logs/<job name>/<run id>.log` below `home`; what is returned closes it again.

    A program that set up no logging gets warnings on stderr, as it would without this file: Python
    leaves that out as soon as there is any handler, and a job that restarts would do it in silence.
    """
    path = home / "logs" / job_name / f"{run_id}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = _log.level
    on_stderr = None if _log.hasHandlers() else logging.lastResort
    if on_stderr is not None:
        _log.addHandler(on_stderr)
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)

    def close() -> None:
        _log.removeHandler(handler)
        if on_stderr is not None:
            _log.removeHandler(on_stderr)
        _log.setLevel(level)
        with suppress(OSError):  # a full disk: what made the job end matters more
            handler.close()

    return close


class _LogFile(logging.FileHandler):
    """A job goes on when its log cannot be written; that is told once, and without a traceback."""

    _is_broken = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._is_broken:
            self._is_broken = True  # before the warning, which comes here, too
            _log.warning("the log cannot be written: %s: %s", self.baseFilename, error.strerror)
