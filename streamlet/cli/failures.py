"""What a user sees when something failed: the message, their own lines, and an exit code."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TextIO

from streamlet.errors import ConfigError, GraphError, InternalError, RestoreError, StreamletError

FAILED = 1
USAGE = 2
NOT_RESTORED = 3
INTERRUPTED = 130

MAX_LINES = 15
_MAX_FRAMES = 4
_OWN_DIRECTORIES = (
    str(Path(__file__).resolve().parents[1]),
    str(Path(traceback.__file__).resolve().parent / "asyncio"),
    str(Path(traceback.__file__).resolve().parent / "concurrent"),
)
_LIBRARY_DIRECTORIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


def exit_code(error: BaseException) -> int:
    """What the process says about this failure to the shell."""
    if isinstance(error, ConfigError | GraphError):
        return USAGE
    return NOT_RESTORED if isinstance(error, RestoreError) else FAILED


def render(error: BaseException, *, is_debug: bool = False) -> str:
    """The failure in at most 15 lines; with `is_debug` the whole traceback."""
    error = _single(error)
    if is_debug:
        return "".join(traceback.format_exception(error)).rstrip()
    lines = _streamlet_lines(error) if isinstance(error, StreamletError) else _user_lines(error)
    notes = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
    room = max(MAX_LINES - len(notes), 3)
    return "\n".join([*_shortened(lines, room), *notes][:MAX_LINES])


def _single(error: BaseException) -> BaseException:
    """A group of one is that one: task groups wrap what their only task raised."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _streamlet_lines(error: StreamletError) -> list[str]:
    """The message, and the user's line that led to it unless the message names it."""
    lines = f"error: {error}".splitlines()
    frames = _user_frames(error)
    if frames:
        frame = frames[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        if place not in str(error):
            lines.append(f"  at {place}: {frame.line}")
    if isinstance(error, InternalError):
        lines.append("this is a bug in streamlet; --debug shows where")
    return lines


def _user_lines(error: BaseException) -> list[str]:
    """A traceback of the user's own frames."""
    lines: list[str] = []
    frames = _user_frames(error)
    if frames:
        lines.append("Traceback (your lines; --debug shows all):")
        for frame in frames[-_MAX_FRAMES:]:
            lines.append(f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}')
            lines += [f"    {frame.line}"] if frame.line else []
    summary = traceback.TracebackException.from_exception(error)
    summary.__notes__ = None  # rendered after the traceback was cut
    for text in summary.format_exception_only():
        lines += text.rstrip().splitlines()
    if cause := error.__cause__:
        lines.append(f"caused by {type(cause).__name__}: {cause}".splitlines()[0])
    return lines


def _user_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """Frames of the user's own files; with what they call where there are no such frames."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", *_OWN_DIRECTORIES))
        and not frame.filename.endswith((".pyx", ".pxi"))  # compiled code, such as pyarrow's
    ]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARY_DIRECTORIES)]
    return own or frames


def _shortened(lines: list[str], room: int) -> list[str]:
    """The first and the last lines when there are too many: both ends say most."""
    if len(lines) <= room:
        return lines
    first = room // 2
    return [*lines[:first], "  ...", *lines[len(lines) - (room - first - 1) :]]


def say(text: str) -> None:
    """A message to the user; stdout is kept for results. Nobody may be there to read it."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        lead_nowhere(sys.stderr)  # a job does not end for want of a reader


def lead_nowhere(stream: TextIO) -> None:
    """What is written to the stream from now on is lost, and so is what it still holds."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
