"""Every error streamlet raises, by what must happen next.

    StreamletError
    |-- GraphError       the pipeline cannot work: nothing was started
    |-- ConfigError      a setting or an argument is wrong: nothing was started
    |-- RestoreError     the state cannot be taken over: nothing was started
    |-- TransientError   restart from the last checkpoint
    |-- FatalError       stop the job: a restart would meet the same again
    |   |-- RecordError    a record cannot be read, keyed or stamped
    |   `-- StateTypeError a value that state cannot keep
    `-- InternalError    a bug in streamlet

An exception of user code keeps its own type and gets a note with the place (`note_place`); the
job's restart strategy decides what happens then.
"""

from __future__ import annotations

from typing import Final

_LINE_CHARACTERS: Final = 400
_MESSAGE_LINES: Final = 4
_NOTE_LINES: Final = 2


class StreamletError(Exception):
    """Base of all errors that streamlet itself raises."""


class GraphError(StreamletError):
    """The pipeline cannot work as written. Raised while building; nothing was started."""


class ConfigError(StreamletError, ValueError):
    """A setting or an argument is wrong. Nothing was started."""


class RestoreError(StreamletError):
    """A checkpoint or savepoint cannot be taken over. Nothing was started or changed."""


class TransientError(StreamletError):
    """Something outside failed; the job restarts from its last checkpoint."""


class FatalError(StreamletError):
    """A restart would meet the same failure again; the job stops."""


class RecordError(FatalError):
    """A record cannot be read, keyed or stamped."""


class StateTypeError(FatalError, TypeError):
    """A value that state cannot keep: its type is not one the codec knows."""


class InternalError(StreamletError):
    """A bug in streamlet: please report it with the text."""


def note_place(error: BaseException, note: str) -> None:
    """Adds `note` to the error once, so that an error that crosses two layers says it once."""
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)


def one_line(error: BaseException) -> str:
    """Type and message on one line; never raises, whatever the error's own `__str__` does."""
    first, _, rest = _message(error).partition("\n")
    first = _cut(first) + ("..." if rest else "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def first_lines(error: BaseException) -> str:
    """Type, message and place, a few lines of each; never raises either."""
    message = _message(error)
    told = f"{type(error).__name__}: {message}" if message else type(error).__name__
    notes = "\n".join(getattr(error, "__notes__", []))
    lines = [*told.splitlines()[:_MESSAGE_LINES], *notes.splitlines()[:_NOTE_LINES]]
    return "\n".join(map(_cut, lines))


def _cut(line: str) -> str:
    """The line without its middle if it is long: it often begins with a path, and ends with why."""
    if len(line) <= _LINE_CHARACTERS:
        return line
    half = _LINE_CHARACTERS // 2
    return f"{line[:half]}...{line[-half:]}"


def _message(error: BaseException) -> str:
    try:
        return str(error).strip()
    except Exception as second:
        return f"<its str() raised {type(second).__name__}>"


def with_place(error: BaseException) -> str:
    """`one_line`, and the first of the notes behind it, which says where in the pipeline."""
    notes: list[str] = getattr(error, "__notes__", [])
    place = _cut(notes[0].partition("\n")[0]) if notes else ""
    return f"{one_line(error)} ({place})" if place else one_line(error)


def stop_iteration_raised() -> RuntimeError:
    """For a function that raised StopIteration: a loop over its results in C ends there silently.

    Python itself turns it into a RuntimeError in generators (PEP 479).
    """
    return RuntimeError("the function raised StopIteration; catch it, or give next() a default")
