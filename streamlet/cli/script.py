"""Runs a job file or a module as `__main__`, the way python itself would."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from streamlet.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Script:
    """Compiled code, and what python would tell it about itself."""

    code: CodeType
    file: str
    import_path: str
    """What stands first on `sys.path` while it runs."""
    package: str | None = None


def load_file(path: Path) -> Script:
    """The job file, compiled; raises ConfigError if there is none and SyntaxError as python."""
    if path.is_dir():
        raise ConfigError(f"{path} is a directory; name a job file, or a module with -m")
    if not path.is_file():
        raise ConfigError(f"the job file {path} does not exist")
    code = compile(path.read_bytes(), str(path), "exec")
    return Script(code, str(path), str(path.resolve().parent))


def load_module(name: str, directory: Path) -> Script:
    """The module's code, or its package's `__main__`, found from `directory` and `sys.path`."""
    with _first_on_path(str(directory)):
        spec = _find(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = _find(f"{name}.__main__")
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            raise ConfigError(f"there is no module {name!r} that could be run with -m")
        code = spec.loader.get_code(spec.name)
    if code is None or spec.origin is None:
        raise ConfigError(f"the module {name!r} has no code to run")
    return Script(code, spec.origin, str(directory), spec.parent)


def _find(name: str) -> ModuleSpec | None:
    """None if there is no such module; an import that fails inside its package is raised."""
    if name.startswith(".") or not name:
        return None
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            return None
        raise
    except ValueError:  # a module without a spec, such as __main__ itself
        return None


def execute(script: Script, arguments: Sequence[str]) -> None:
    """Runs the script to its end; `sys` is as it was before, whatever happened."""
    module = ModuleType("__main__")
    module.__file__ = script.file
    module.__package__ = script.package
    before, argv = sys.modules["__main__"], sys.argv
    sys.modules["__main__"] = module
    sys.argv = [script.file, *arguments]
    try:
        with _first_on_path(script.import_path):
            exec(script.code, module.__dict__)
    finally:
        sys.modules["__main__"] = before
        sys.argv = argv


@contextmanager
def _first_on_path(directory: str) -> Iterator[None]:
    path = list(sys.path)
    sys.path.insert(0, directory)
    try:
        yield
    finally:
        sys.path[:] = path
