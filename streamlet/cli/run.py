"""`run`, `plan`, `restore-plan`: a script under the command line's settings; what came of it."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from streamlet.api.prepared import LaterOutput, PlanOnly, PreparedRun, prepared_run
from streamlet.checkpoint.disk import RealDisk
from streamlet.cli import failures
from streamlet.cli.arguments import command_line_settings, split_at_dashes
from streamlet.cli.failures import say
from streamlet.cli.live import Progress, progress_for
from streamlet.cli.restore_plan import to_text as restore_text
from streamlet.cli.script import Script, execute, load_file, load_module
from streamlet.cli.tables import as_json, count, duration
from streamlet.clock import Clock
from streamlet.config import Configuration
from streamlet.errors import ConfigError, StreamletError

if TYPE_CHECKING:
    from streamlet.checkpoint.restore_plan import RestorePlan
    from streamlet.plan import ExecutionPlan
    from streamlet.runtime.setup import JobRequest, JobResult


def run(arguments: Namespace, argv: Sequence[str], env: Mapping[str, str], clock: Clock) -> int:
    """Runs the job, shows how it goes, and gives the exit code."""
    if arguments.format != "text" and not arguments.dry_run:
        raise ConfigError("--format says how --dry-run prints; a run itself prints no result")
    prepared = prepare(arguments, env, plan_only=arguments.dry_run)
    if arguments.dry_run:
        return _show_plan(prepared, arguments, _dry_run)
    progress = progress_for(clock, is_plain=arguments.plain)
    prepared.on_progress = progress.update
    code = _run_script(prepared, arguments, progress)
    for result in prepared.results:
        say(summary(result))
    if prepared.may_resume and code == failures.INTERRUPTED and prepared.results:
        say(f"go on with: {resume_command(argv)}")
    elif prepared.may_resume and code == failures.FAILED and not _is_over(prepared):
        say(f"when the cause is mended, go on with: {resume_command(argv)}")
    return code


def _is_over(prepared: PreparedRun) -> bool:
    """Whether the script's last job came to its end, and what failed was the script."""
    return len(prepared.results) == prepared.executions


def plan(arguments: Namespace, env: Mapping[str, str]) -> int:
    """Prints what `run` would run with the same words, as its --dry-run does; nothing runs."""
    return _show_plan(prepare(arguments, env, plan_only=True), arguments, _dry_run)


def restore_plan(arguments: Namespace, env: Mapping[str, str]) -> int:
    """Prints what would become of a savepoint's state; nothing runs (SP-3)."""
    return _show_plan(prepare(arguments, env, plan_only=True), arguments, _restore_plan)


def prepare(arguments: Namespace, env: Mapping[str, str], *, plan_only: bool) -> PreparedRun:
    """What the script's environment will find; says what the settings have to say."""
    if (arguments.job is None) == (arguments.module is None):
        raise ConfigError("name one job: JOB.py, or -m MODULE; job arguments follow `--`")
    settings = command_line_settings(arguments)
    config = Configuration.load(env, Path.cwd(), arguments.config, settings)
    for notice in config.notices:
        say(notice)
    later_output: LaterOutput = "refuse"
    if arguments.keep_later_output:
        later_output = "keep"
    elif arguments.discard_later_output:
        later_output = "discard"
    return PreparedRun(
        config,
        resume=arguments.resume,
        uid_map=uid_map(arguments.uid_map),
        later_output=later_output,
        plan_only=plan_only,
        script=arguments.module or arguments.job,
    )


def uid_map(words: Sequence[str]) -> dict[str, str]:
    """What the --map options say, old uid to new."""
    pairs = [word.partition("=") for word in words]
    for old, equals, new in pairs:
        if not (old and equals and new):
            raise ConfigError(f"--map wants OLD=NEW, two uids, got {old + equals + new!r}")
    if len({old for old, _, _ in pairs}) < len(pairs):
        raise ConfigError("--map names an old uid twice: its state can go to one operator only")
    return {old: new for old, _, new in pairs}


def resume_command(argv: Sequence[str]) -> str:
    """The command that goes on where this run stopped."""
    own, job_arguments = split_at_dashes(argv)
    kept: list[str] = []
    words = iter(own[1:])
    for word in words:
        if word in ("-s", "--map"):
            next(words, None)
        elif word != "--resume" and not word.startswith(("-s", "--map=")):
            kept.append(word)
    dashes = ["--", *job_arguments] if job_arguments else []
    return shlex.join(["streamlet", "run", "--resume", *kept, *dashes])


def summary(result: JobResult) -> str:
    """What a run did, in one line."""
    ended = result.state.lower() if result.savepoint_path is None else "stopped"
    parts = [
        f"{ended} in {duration(result.duration_ms)}",
        f"{count(result.records_in)} records in, {count(result.records_out)} out",
    ]
    if result.restarts:
        parts.append(f"{count(result.restarts)} restart{'s' if result.restarts > 1 else ''}")
    if result.last_checkpoint is not None:
        parts.append(f"last checkpoint {result.last_checkpoint}")
    if result.savepoint_path is not None:
        parts.append(f"savepoint {result.savepoint_path}")
    return f"job {result.job_id} {'; '.join(parts)}"


def _run_script(prepared: PreparedRun, arguments: Namespace, progress: Progress) -> int:
    try:
        with prepared_run(prepared):
            execute(_load(arguments), arguments.job_arguments)
    except KeyboardInterrupt:
        return failures.INTERRUPTED
    except SystemExit as end:
        return _code_of_exit(end)
    except Exception as error:
        progress.close()
        say(failures.render(error, is_debug=arguments.debug))
        return failures.exit_code(error)
    finally:
        progress.close()
    if prepared.executions == 0:
        _say_nothing_ran(prepared)
        return failures.USAGE
    return _code_of_results(prepared.results)


Show: TypeAlias = "Callable[[JobRequest, RestorePlan | None, str], int]"
"""Prints something about what would run in a format; gives the exit code."""


def _show_plan(prepared: PreparedRun, arguments: Namespace, show: Show) -> int:
    prepared.look = _planned_restore
    try:
        with prepared_run(prepared):
            execute(_load(arguments), arguments.job_arguments)
    except PlanOnly as end:
        if isinstance(end.seen, StreamletError):
            raise end.seen from None
        return show(end.request, end.seen, arguments.format)
    except SystemExit as end:
        return _code_of_exit(end)
    except Exception as error:
        say(failures.render(error, is_debug=arguments.debug))
        return failures.exit_code(error)
    _say_nothing_ran(prepared)
    return failures.USAGE


def _dry_run(request: JobRequest, restore: RestorePlan | None, form: str) -> int:
    if form == "json":
        restored = {} if restore is None else {"restore": restore.to_dict()}
        print(as_json({**request.plan.to_dict(), **restored}))
    else:
        print(_DRAWINGS[form](request.plan))
        if restore is not None:
            # A drawing stays one that programs can read.
            (print if form == "text" else say)(f"\n{restore_text(restore)}")
    return 0 if restore is None or restore.is_fine else failures.NOT_RESTORED


def _restore_plan(request: JobRequest, restore: RestorePlan | None, form: str) -> int:
    if restore is None:
        raise ConfigError("there is no savepoint to plan for: the script's settings lose it")
    print(as_json(restore.to_dict()) if form == "json" else restore_text(restore))
    return 0 if restore.is_fine else failures.NOT_RESTORED


def _planned_restore(request: JobRequest) -> RestorePlan | StreamletError | None:
    """A refusal is given, not raised: the script might swallow it."""
    if request.savepoint is None and not request.resume and not request.uid_map:
        return None
    # Not before: a plan needs no runtime.
    from streamlet.runtime.starting_point import planned_restore

    try:
        return planned_restore(RealDisk(), request)
    except StreamletError as error:
        return error


_DRAWINGS: Mapping[str, Callable[[ExecutionPlan], str]] = {
    "text": lambda plan: plan.to_text().rstrip(),
    "json": lambda plan: as_json(plan.to_dict()),
    "mermaid": lambda plan: plan.to_mermaid().rstrip(),
    "dot": lambda plan: plan.to_dot().rstrip(),
}


def _load(arguments: Namespace) -> Script:
    if arguments.module is not None:
        return load_module(arguments.module, Path.cwd())
    return load_file(Path(arguments.job))


def _say_nothing_ran(prepared: PreparedRun) -> None:
    say(f"error: {prepared.script} never called execute, so nothing ran; end it with env.execute()")


def _code_of_exit(end: SystemExit) -> int:
    """As python does it: nothing is 0, a number itself, a text is said and means 1."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    say(str(end.code))
    return failures.FAILED


def _code_of_results(results: Sequence[JobResult]) -> int:
    """A job that failed has raised; one that did not finish was interrupted or cancelled."""
    is_finished = all(result.state == "FINISHED" for result in results)
    return 0 if is_finished else failures.INTERRUPTED
