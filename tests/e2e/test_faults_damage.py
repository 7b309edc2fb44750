"""One flipped bit, or a cut, in any file that a job goes on from: refused, or the golden answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from streamlet.checkpoint.disk import RealDisk
from streamlet.checkpoint.manifest import MANIFEST_NAME, read_manifest
from streamlet.checkpoint.storage import RUN_FILE
from tests.e2e.command import TIMEOUT_S, CommandLine
from tests.e2e.followed import CHECKPOINTED, MAX_LINES, NAME, Logs, running
from tests.e2e.golden import ROOT, Rows, written
from tests.e2e.killing import SLOW, set_to, wait_for_end, wait_for_new

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

SESSIONS = ROOT / "examples" / "click_sessions.py"
FOLLOWED = ROOT / "tests" / "e2e" / "jobs" / "followed_sessions.py"
REFUSED = 3
FLIPS = 3
MAY_BE_DAMAGED = {"lock"}
"""Nobody reads what is in it."""

Damage = Callable[[bytes], bytes]


def flipped(rng: Random) -> Damage:
    """One bit somewhere."""

    def damage(content: bytes) -> bytes:
        position = rng.randrange(len(content))
        changed = content[position] ^ 1 << rng.randrange(8)
        return content[:position] + bytes([changed]) + content[position + 1 :]

    return damage


def damages(seed: int) -> list[Damage]:
    rng = Random(seed)
    cuts: list[Damage] = [lambda content: content[: len(content) // 2], lambda content: b""]
    return [*(flipped(rng) for _ in range(FLIPS)), *cuts]


@pytest.fixture(scope="module")
def killed(log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str | Path]]:
    """The directory of a job that was killed between two checkpoints, and its words."""
    directory = tmp_path_factory.mktemp("killed")
    streamlet = CommandLine(directory)
    words: list[str | Path] = [
        *set_to({**SLOW, "restart-strategy.type": "none"}),
        SESSIONS,
        "--",
        log,
        "out",
    ]
    job = streamlet.start("run", *words)
    manifests = "checkpoints/*/*/chk-*/manifest.json"
    wait_for_new(streamlet.home, manifests, job, times=3)
    job.kill()
    job.communicate(timeout=TIMEOUT_S)
    assert job.returncode == -9
    return directory, words


def parts(home: Path) -> dict[str, Path]:
    """A file of each kind of which the latest whole checkpoint consists, or that stands by it."""
    (job,) = home.glob("checkpoints/*")
    manifest = max(job.glob(f"*/chk-*/{MANIFEST_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    checkpoint = manifest.parent
    files = [(checkpoint / e.path).resolve() for e in read_manifest(RealDisk(), checkpoint).files()]
    return {
        "lock": job / "lock",
        "run": checkpoint.parent / RUN_FILE,
        "manifest": manifest,
        "operator-state": next(path for path in files if path.parent == checkpoint.resolve()),
        "keyed-state": next(path for path in files if path.parent.name == "state"),
    }


@pytest.mark.parametrize(
    ("kind", "seed"),
    [("lock", 1), ("run", 2), ("manifest", 3), ("operator-state", 4), ("keyed-state", 5)],
)
def test_resume_from_a_damaged_file_is_refused_or_golden(
    killed: tuple[Path, list[str | Path]], golden: Rows, tmp_path: Path, kind: str, seed: int
) -> None:
    """Refused with the file's name, and with the output as it was: mended, the job goes on."""
    origin, words = killed
    refused = 0
    for number, damage in enumerate(damages(seed)):
        directory = tmp_path / str(number)
        shutil.copytree(origin, directory)
        streamlet = CommandLine(directory)
        path = parts(streamlet.home)[kind]
        content = path.read_bytes()
        path.write_bytes(damage(content or b"\x00"))
        done = streamlet("run", "--resume", *words)
        if done.code != 0:
            assert done.code == REFUSED, done.err
            assert path.name in done.err
            assert len(done.err.splitlines()) <= MAX_LINES
            refused += 1
            path.write_bytes(content)
            done = streamlet("run", "--resume", *words)
        assert done.code == 0, done.err
        assert written(directory / "out") == golden
    assert refused or kind in MAY_BE_DAMAGED


@pytest.fixture(scope="module")
def savepoint(log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A savepoint of the job in the middle of its input, and the rest of that."""
    directory = tmp_path_factory.mktemp("savepoint")
    streamlet, logs = CommandLine(directory), Logs(directory / "logs", log)
    logs.grow(0, 4_000)
    with running(streamlet, logs, *CHECKPOINTED) as job:
        streamlet.wait_for(NAME, job, read=4_000)
        stopped = streamlet("stop", NAME, "--savepoint-dir", "kept")
        assert stopped.code == 0, stopped.err
        wait_for_end(job, TIMEOUT_S)
    return directory, Path(stopped.out.strip()).relative_to(directory)


def test_damaged_savepoint_is_refused_with_the_name_of_the_file(
    savepoint: tuple[Path, Path], tmp_path: Path
) -> None:
    """Every file, several bits of each: a savepoint is checked as a whole before anything runs."""
    origin, relative = savepoint
    directory = tmp_path / "copy"
    shutil.copytree(origin, directory)
    streamlet = CommandLine(directory)
    before = written(directory / "out")
    files = [path for path in sorted((directory / relative).iterdir()) if path.is_file()]
    assert len(files) >= 3
    for seed, path in enumerate(files):
        content = path.read_bytes()
        for damage in damages(seed):
            path.write_bytes(damage(content))
            done = streamlet(
                *("run", "-s", relative, "-D", "restart-strategy.type=none", FOLLOWED),
                *("--", "logs", "out"),
            )
            assert done.code == REFUSED, done.err
            assert path.name in done.err
            assert len(done.err.splitlines()) <= MAX_LINES
            assert written(directory / "out") == before
        path.write_bytes(content)
