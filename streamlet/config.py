"""Settings in layers: defaults, files, code, variables, the command line; the last wins."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from streamlet.errors import ConfigError
from streamlet.options import OPTIONS

ENVIRONMENT_PREFIX: Final = "STREAMLET_"
_NOT_SETTINGS: Final = {"STREAMLET_HOME", "STREAMLET_DEBUG"}


class Layer(IntEnum):
    """Who may set a key. A greater layer wins."""

    HOME_FILE = 1
    CONF_FILE = 2
    CODE = 3
    CONFIG_FILE = 4
    ENVIRONMENT = 5
    COMMAND_LINE = 6


@dataclass(frozen=True, slots=True)
class Setting:
    """What one layer says about one key, and where exactly it was written."""

    written: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """All settings of a run. `config["parallelism.default"]` gives the value that wins.

    Durations are int milliseconds (an interval that is off: None), sizes int bytes, directories
    `Path`, unset keys None. A configuration is never changed: `with_code` gives a new one.

    >>> config = Configuration(Path("home")).with_code({"execution.batch-size": 10})
    >>> config["execution.batch-size"], config["execution.checkpointing.interval"]
    (10, 10000)
    """

    home: Path
    layers: Mapping[Layer, Mapping[str, Setting]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    """What the user should hear: variables that set nothing, code that loses."""

    @classmethod
    def load(
        cls,
        env: Mapping[str, str],
        directory: Path,
        config_file: Path | None = None,
        command_line: Mapping[str, Setting] | None = None,
    ) -> Configuration:
        """Reads every layer but the code's: files, `STREAMLET_*`, what the command line says.

        `directory` is where `conf/streamlet.toml` is looked for. Raises ConfigError for unknown
        keys, for values that do not parse, and for a `config_file` that does not exist.
        """
        home = home_directory(env)
        config = cls(home, notices=tuple(_unknown_variables(env)))
        config = config._with_file(Layer.HOME_FILE, home / "streamlet.toml")
        config = config._with_file(Layer.CONF_FILE, directory / "conf" / "streamlet.toml")
        if config_file is not None:
            if not config_file.is_file():
                raise ConfigError(f"the configuration file {config_file} does not exist")
            config = config._with_file(Layer.CONFIG_FILE, config_file)
        config = config._with_layer(Layer.ENVIRONMENT, _settings_of_variables(env))
        return config._with_layer(Layer.COMMAND_LINE, command_line or {})

    def with_code(self, values: Mapping[str, Any]) -> Configuration:
        """A configuration in which the script has set these too; what loses adds a notice."""
        settings = {name: Setting(value, "the job's code") for name, value in values.items()}
        config = self._with_layer(Layer.CODE, settings)
        lost = [
            f"{name} = {values[name]!r}, set in code, loses to {winner.written!r} ({winner.origin})"
            for name in values
            if (winner := config.setting(name)).origin != settings[name].origin
            and config[name] != config._parse(name, settings[name])
        ]
        return replace(config, notices=tuple(dict.fromkeys((*config.notices, *lost))))

    def __getitem__(self, name: str) -> Any:
        return self._parse(name, self.setting(name))

    def setting(self, name: str) -> Setting:
        """What was written for the key by the layer that wins."""
        _check_name(name, "")
        for layer in sorted(self.layers, reverse=True):
            if name in self.layers[layer]:
                return self.layers[layer][name]
        return Setting(OPTIONS[name].default, "default")

    def is_set(self, name: str) -> bool:
        """Whether any layer above the defaults says something about the key."""
        return any(name in settings for settings in self.layers.values())

    def _parse(self, name: str, setting: Setting) -> Any:
        written = setting.written
        if written is None and OPTIONS[name].default is None:
            return None
        if isinstance(written, str):
            written = written.replace("<home>", str(self.home))
        try:
            return OPTIONS[name].parse(written)
        except ConfigError as error:
            raise ConfigError(
                f"{name} = {setting.written!r} (from {setting.origin}): {error}"
            ) from None

    def _with_file(self, layer: Layer, path: Path) -> Configuration:
        return self._with_layer(layer, _settings_of_file(path)) if path.is_file() else self

    def _with_layer(self, layer: Layer, settings: Mapping[str, Setting]) -> Configuration:
        for name, setting in settings.items():
            _check_name(name, f" in {setting.origin}")
            self._parse(name, setting)
        merged = {**self.layers.get(layer, {}), **settings}
        return replace(self, layers={**self.layers, layer: merged})


def home_directory(env: Mapping[str, str]) -> Path:
    """Where jobs, logs, checkpoints and savepoints are kept: STREAMLET_HOME, or ~/.streamlet."""
    if home := env.get("STREAMLET_HOME"):
        return Path(home).expanduser().absolute()
    return (Path(env["HOME"]) if env.get("HOME") else Path.home()) / ".streamlet"


def _check_name(name: str, place: str) -> None:
    if name not in OPTIONS:
        hint = _nearest(name, OPTIONS)
        raise ConfigError(f"there is no setting {name!r}{place}{hint}")


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "; `streamlet config` lists all"


def _settings_of_file(path: Path) -> dict[str, Setting]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    return {name: Setting(written, str(path)) for name, written in _flatten(tables, "")}


def _flatten(tables: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Tables and dotted keys say the same."""
    for key, written in tables.items():
        if isinstance(written, dict):
            yield from _flatten(written, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", written


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.replace(".", "_").replace("-", "_").upper()


def _settings_of_variables(env: Mapping[str, str]) -> dict[str, Setting]:
    """An empty variable sets nothing, as if it were not there."""
    variables = {name: _variable(name) for name in OPTIONS}
    return {
        name: Setting(env[variable], variable)
        for name, variable in variables.items()
        if env.get(variable)
    }


def _unknown_variables(env: Mapping[str, str]) -> Iterator[str]:
    known = {_variable(name): name for name in OPTIONS}
    for variable in sorted(env):
        is_ours = variable.startswith(ENVIRONMENT_PREFIX) and variable not in _NOT_SETTINGS
        if is_ours and variable not in known:
            yield f"the variable {variable} sets nothing{_nearest(variable, known)}"
