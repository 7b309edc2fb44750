"""What `import streamlet` offers, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import streamlet


@pytest.mark.parametrize("name", streamlet.__all__)
def test_public_name_is_importable(name: str) -> None:
    assert getattr(streamlet, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Datastream"):
        _ = streamlet.Datastream


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(streamlet.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen | {"__version__"} == set(streamlet.__all__)


def test_import_loads_nothing_heavy() -> None:
    program = (
        "import sys, streamlet; print([m for m in ('pyarrow', 'asyncio') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.strip() == b"[]"
