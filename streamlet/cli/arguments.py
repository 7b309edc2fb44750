"""What may be typed: the commands, their options, and the help on each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from streamlet.config import Setting
from streamlet.errors import ConfigError

DESCRIPTION = "Runs stream processing jobs and talks to running ones."
EXIT_CODES = (
    "exit codes: 0 finished, 1 job failed, 2 usage, 3 could not restore (for a plan: would be "
    "refused), 130 interrupted after a clean stop"
)

AddCommand: TypeAlias = Callable[..., argparse.ArgumentParser]


def parse(argv: Sequence[str], version: str) -> argparse.Namespace:
    """The arguments as a namespace; what follows `--` is in `job_arguments`.

    Ends with SystemExit as argparse does: code 2 for what cannot be understood.
    """
    own, job_arguments = split_at_dashes(argv)
    parser = _parser(version)
    if not own:
        parser.print_help(sys.stderr)
        parser.exit(2)
    arguments, left = parser.parse_known_args(own)
    words = [word for word in left if not word.startswith("-")]
    if words and arguments.command == "restore-plan" and arguments.job is arguments.module is None:
        # argparse takes the job file for left out when an option stands before it.
        arguments.job = words[0]
        left.remove(words[0])
    if left:
        parser.error(_not_understood(arguments.command, left))
    arguments.job_arguments = job_arguments
    return arguments


def _not_understood(command: str, words: Sequence[str]) -> str:
    text = f"{command} does not understand {' '.join(words)!r}"
    if command not in ("run", "plan", "restore-plan"):
        return f"{text}; `streamlet {command} --help` says what it takes"
    return f"{text}; what is meant for the job follows `--`, as in: JOB.py -- {' '.join(words)}"


def split_at_dashes(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands before the first `--`, and what stands after it."""
    if "--" not in argv:
        return list(argv), []
    place = list(argv).index("--")
    return list(argv[:place]), list(argv[place + 1 :])


def command_line_settings(arguments: argparse.Namespace) -> dict[str, Setting]:
    """What -D, -p and the restore options say, as settings of the command line's layer."""
    settings: dict[str, Setting] = {}
    for assignment in arguments.settings:
        name, equals, written = assignment.partition("=")
        if not equals:
            raise ConfigError(f"-D wants key=value, got {assignment!r}")
        settings[name.strip()] = Setting(written.strip(), "-D")
    if arguments.parallelism is not None:
        settings["parallelism.default"] = Setting(arguments.parallelism, "-p")
    if arguments.savepoint is not None:
        settings["execution.state-recovery.path"] = Setting(arguments.savepoint, "-s")
    if arguments.allow_non_restored_state:
        key = "execution.state-recovery.ignore-unclaimed-state"
        settings[key] = Setting(True, "--allow-non-restored-state")
    return settings


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("streamlet", description=DESCRIPTION, epilog=EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"streamlet {version}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add_command(name: str, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose, epilog=EXIT_CODES)
        command.add_argument(
            "--debug", action="store_true", help="show whole tracebacks (or STREAMLET_DEBUG=1)"
        )
        return command

    _add_script_commands(add_command)
    _add_job_commands(add_command)
    config = add_command("config", "show every setting and where it was set")
    _add_settings(config)
    _add_format(config)
    return parser


def _add_script_commands(add_command: AddCommand) -> None:
    run = add_command("run", "run a job file, or a module with -m")
    run.add_argument("--plain", action="store_true", help="plain lines instead of the live view")
    run.add_argument("--dry-run", action="store_true", help="print the plan and run nothing")
    plan = add_command("plan", "print what a job file would run")
    restore = add_command("restore-plan", "print what would become of a savepoint's state")
    for command in (run, plan, restore):
        _add_settings(command)
        if command is restore:
            command.add_argument("savepoint", metavar="SAVEPOINT", help="or a checkpoint")
        else:
            _add_start(command)
        command.add_argument("job", nargs="?", metavar="JOB.py", help="the job file")
        command.add_argument("-m", dest="module", metavar="MODULE", help="a module instead")
        name = command.prog.split()[-1]
        first = "SAVEPOINT " if command is restore else ""
        command.usage = f"streamlet {name} [options] {first}JOB.py | -m MODULE [-- job arguments]"
        _add_restore(command)
        drawings = [] if command is restore else ["mermaid", "dot"]
        _add_format(command, "text", "json", *drawings)


def _add_start(command: argparse.ArgumentParser) -> None:
    start = command.add_mutually_exclusive_group()
    start.add_argument(
        "-s", dest="savepoint", metavar="SAVEPOINT", help="start from this savepoint or checkpoint"
    )
    start.add_argument(
        "--resume", action="store_true", help="go on from this job's latest whole checkpoint"
    )


def _add_restore(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--map",
        dest="uid_map",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="the operator with uid NEW takes over the state of uid OLD; may be repeated",
    )
    command.add_argument(
        "--allow-non-restored-state",
        action="store_true",
        help="drop state that no operator claims",
    )
    output = command.add_mutually_exclusive_group()
    output.add_argument(
        "--keep-later-output",
        action="store_true",
        help="keep output that is newer than the checkpoint, or none of its own",
    )
    output.add_argument(
        "--discard-later-output",
        action="store_true",
        help="delete output that is newer than the checkpoint, or none of its own",
    )


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-D",
        dest="settings",
        action="append",
        default=[],
        metavar="key=value",
        help="set a key; `streamlet config` lists all",
    )
    command.add_argument(
        "-p", dest="parallelism", type=int, metavar="N", help="the default parallelism"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="a TOML file of settings")
    command.set_defaults(savepoint=None, resume=False, allow_non_restored_state=False)


def _add_format(command: argparse.ArgumentParser, *formats: str) -> None:
    command.add_argument(
        "--format",
        choices=formats or ("text", "json"),
        default="text",
        help="how the result is printed on stdout",
    )


_SAVEPOINT_DIR = "where to put it; default: <home>/savepoints/<job name>"


def _add_job_commands(add_command: AddCommand) -> None:
    _add_format(add_command("list", "list running and past jobs"))
    status = _job_command(add_command, "status", "show what a job is doing")
    status.add_argument("--watch", action="store_true", help="again every second, until it ends")
    logs = _job_command(add_command, "logs", "print the log of a job")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    savepoint = _job_command(add_command, "savepoint", "take a savepoint and print its path")
    savepoint.add_argument("directory", nargs="?", type=Path, metavar="DIR", help=_SAVEPOINT_DIR)
    stop = _job_command(add_command, "stop", "stop a job with a savepoint and print its path")
    stop.add_argument(
        "--drain", action="store_true", help="fire all windows and timers before the end"
    )
    stop.add_argument(
        "--savepoint-dir", dest="directory", type=Path, metavar="DIR", help=_SAVEPOINT_DIR
    )
    _job_command(add_command, "cancel", "cancel a job, without a savepoint")


def _job_command(add_command: AddCommand, name: str, purpose: str) -> argparse.ArgumentParser:
    command = add_command(name, purpose)
    command.add_argument("job", metavar="JOB", help="a job id, a unique prefix of one, or a name")
    _add_format(command)
    return command
