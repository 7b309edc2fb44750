"""Keeps what user code raises to leave the program inside the job that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streamlet.errors import FatalError

T = TypeVar("T")


async def contained(work: Callable[[], Awaitable[T]], where: str) -> T:
    """The result of the work; what only user code can have raised here fails the job.

    SystemExit and KeyboardInterrupt would stop the event loop under all that runs in it: nothing
    would be closed or recorded. (A Ctrl-C is no exception here: the loop handles the signal.)
    A CancelledError that nobody asked for would pass for a cancellation.
    """
    try:
        return await work()  # not awaited at all if it is cancelled before it begins
    except asyncio.CancelledError as error:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        raise _failure(error, where) from error
    except (Exception, GeneratorExit):
        raise
    except BaseException as error:
        raise _failure(error, where) from error


def _failure(error: BaseException, where: str) -> FatalError:
    text = f": {error}" if str(error) else ""
    failure = FatalError(
        f"a function in {where} raised {type(error).__name__}{text}; "
        "only the end of its input, a stop or a failure may end a job"
    )
    return failure.with_traceback(error.__traceback__)  # with the user's lines
