"""The entry of the `streamlet` command: calls what was typed, turns failures into exit codes."""

from __future__ import annotations

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamlet import __version__
from streamlet.cli import failures, jobs, run, settings
from streamlet.cli.arguments import parse
from streamlet.clock import SystemClock
from streamlet.config import Configuration
from streamlet.errors import StreamletError


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code; `argv` is `sys.argv[1:]` unless given."""
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = parse(words, __version__)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else failures.USAGE
    env = dict(os.environ)
    arguments.debug = arguments.debug or env.get("STREAMLET_DEBUG", "0") not in ("", "0")
    messages = _MessagesOnStderr()
    logger = logging.getLogger("streamlet")
    logger.addHandler(messages)
    try:
        code = _dispatch(arguments, words, env)
        if code == 0:
            sys.stdout.flush()  # here, where a full disk can still change the code
        return code
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except BrokenPipeError:
        return 0  # who read our output has gone (`| head`): nothing is wrong
    except OSError as error:
        failures.say(f"error: {error}")
        return failures.FAILED
    except StreamletError as error:
        failures.say(failures.render(error, is_debug=arguments.debug))
        return failures.exit_code(error)
    finally:
        logger.removeHandler(messages)
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """Python would complain, and exit with 120, when it flushes a closed pipe at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        failures.lead_nowhere(sys.stdout)


def _dispatch(arguments: Namespace, words: Sequence[str], env: Mapping[str, str]) -> int:
    clock = SystemClock()
    match arguments.command:
        case "run":
            return run.run(arguments, words, env, clock)
        case "plan":
            return run.plan(arguments, env)
        case "restore-plan":
            return run.restore_plan(arguments, env)
        case "config":
            return settings.show(arguments, env)
    config = Configuration.load(env, Path.cwd())
    if arguments.command == "list":
        return jobs.list_jobs(arguments, config, clock)
    return _JOB_COMMANDS[arguments.command](arguments, config)


_JOB_COMMANDS = {
    "status": jobs.status,
    "logs": jobs.logs,
    "savepoint": jobs.savepoint,
    "stop": jobs.stop,
    "cancel": jobs.cancel,
}


class _MessagesOnStderr(logging.Handler):
    """Says the engine's notices and warnings; asks for stderr anew: the live view replaces it."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            failures.say(f"{record.levelname.lower()}: {record.getMessage()}")
        elif record.name == "streamlet.notice":
            failures.say(record.getMessage())
