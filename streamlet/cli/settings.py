"""`config`: every setting as a run here would see it, and who said so."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from streamlet.cli.arguments import command_line_settings
from streamlet.cli.failures import say
from streamlet.cli.tables import as_json, columns
from streamlet.config import Configuration
from streamlet.options import OPTIONS


def show(arguments: Namespace, env: Mapping[str, str]) -> int:
    """Prints name, value and origin of every setting."""
    settings = command_line_settings(arguments)
    config = Configuration.load(env, Path.cwd(), arguments.config, settings)
    for notice in config.notices:
        say(notice)
    if arguments.format == "json":
        print(
            as_json(
                {
                    name: {"value": config[name], "origin": config.setting(name).origin}
                    for name in OPTIONS
                }
            )
        )
        return 0
    rows = [(name, _written(config, name), config.setting(name).origin) for name in OPTIONS]
    print(columns(("setting", "value", "from"), rows))
    return 0


def _written(config: Configuration, name: str) -> str:
    written = config.setting(name).written
    if written is None:
        return "(unset)"
    if isinstance(written, bool):
        return str(written).lower()
    return str(written).replace("<home>", str(config.home))
