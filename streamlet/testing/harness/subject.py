"""Makes the operator that a harness runs out of what the test hands in."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, cast

from streamlet.errors import ConfigError, GraphError
from streamlet.functions import Function, KeyedProcessFunction, ProcessFunction
from streamlet.operators.keyed import KeyedProcessOperator
from streamlet.operators.operator import Operator
from streamlet.operators.stateless import ProcessOperator


def operator_factory(function: Any, is_keyed: bool) -> Callable[[], Operator]:
    """What makes a new operator for each start; refuses what cannot be run."""
    if isinstance(function, Operator):
        return lambda: copy.deepcopy(function)
    if isinstance(function, KeyedProcessFunction) and not is_keyed:
        raise GraphError(
            f"{type(function).__qualname__} is a KeyedProcessFunction and needs a key: write "
            "OperatorHarness(function, key_by=...)"
        )
    if isinstance(function, KeyedProcessFunction | ProcessFunction):
        return lambda: _process_operator(function, is_keyed)
    if not callable(function) or (isinstance(function, type) and issubclass(function, Function)):
        raise ConfigError(
            "OperatorHarness takes a process function (an instance), fn(value, ctx), an Operator, "
            f"or a callable without parameters that makes one; got {function!r}"
        )
    if inspect.signature(function).parameters:
        return lambda: _process_operator(function, is_keyed)
    return cast(Callable[[], Operator], function)


def _process_operator(function: Any, is_keyed: bool) -> Operator:
    return KeyedProcessOperator(function) if is_keyed else ProcessOperator(function)
