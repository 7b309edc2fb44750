"""Checks of the functions and selectors users hand in, while their line is still at hand."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from streamlet.api.call_site import refusal
from streamlet.errors import GraphError
from streamlet.functions import Function, KeyedProcessFunction
from streamlet.selectors import Selector, compile_selector

if TYPE_CHECKING:
    import pyarrow.compute as pc

F = TypeVar("F")


def checked_function(
    function: F, method: str, *classes: type, is_plain_allowed: bool = True, may_yield: bool = False
) -> F:
    """The function the graph keeps: a copy of a Function object, a plain callable as it is.

    `classes` are the Function classes that `method` takes; other Function objects must be callable.
    `may_yield`: whether a plain callable may be a generator function.
    """
    if isinstance(function, Function) and isinstance(function, classes):
        return _prototype(function, method)
    _refuse_wrong_kind(function, method, classes, is_plain_allowed)
    if inspect.iscoroutinefunction(function):
        raise refusal(method, f"got the coroutine function {_name(function)}; give a plain one")
    if inspect.isgeneratorfunction(function) and not may_yield:
        raise refusal(
            method,
            f"got the generator function {_name(function)}, whose one result would be a "
            "generator. Return the value, or use flat_map() or process() for many",
        )
    return _prototype(function, method) if isinstance(function, Function) else function


def checked_selector(method: str, *selectors: Selector) -> Callable[[Any], Any]:
    """The compiled selectors; a refusal that names the user's line for what are none."""
    try:
        return compile_selector(*selectors)
    except GraphError as error:
        raise refusal(method, f"got a wrong selector: {error}") from None


def is_expression(value: object) -> bool:
    """Whether it is a `pyarrow.compute` expression; nobody can have one without pyarrow."""
    compute = sys.modules.get("pyarrow.compute")
    return compute is not None and isinstance(value, compute.Expression)


def checked_expressions(method: str, columns: Mapping[str, Any]) -> dict[str, pc.Expression]:
    """The expressions by name; names of fields become expressions."""
    if not columns:
        raise refusal(method, f'takes at least one column, like {method}(euro=pc.field("price"))')
    import pyarrow.compute as pc

    expressions = {
        name: pc.field(column) if isinstance(column, str) else column
        for name, column in columns.items()
    }
    for name, expression in expressions.items():
        if not is_expression(expression):
            raise refusal(
                method,
                f"takes pyarrow.compute expressions or names of fields, got {name}={expression!r}; "
                "a constant is pc.scalar(...), a Python function goes to map(), or to "
                "map_batches() for whole batches",
            )
    return expressions


def describe_function(function: object) -> str:
    """How plans name a function."""
    return _name(function)


def _refuse_wrong_kind(
    function: object, method: str, classes: tuple[type, ...], is_plain_allowed: bool
) -> None:
    takes = " or ".join(
        [*(f"a {cls.__name__}" for cls in classes), *(["a callable"] if is_plain_allowed else [])]
    )
    if isinstance(function, type) and issubclass(function, Function):
        raise refusal(
            method, f"got the class {_name(function)}; give an instance: {_name(function)}()"
        )
    if isinstance(function, KeyedProcessFunction):
        raise refusal(
            method,
            f"takes {takes}, got the KeyedProcessFunction {_name(function)}. "
            "It needs a key: call .key_by(...) before .process(...)",
        )
    if method == "filter":
        takes += ' or a pyarrow.compute expression like pc.field("price") > 100'
    if not is_plain_allowed or not callable(function):
        advice = "; expressions go to filter() and select()" if is_expression(function) else ""
        raise refusal(method, f"takes {takes}, got {_describe_value(function)}{advice}")


def _prototype(function: F, method: str) -> F:
    """A copy made now: later changes of the user's object change nothing, and copying works."""
    try:
        return copy.deepcopy(function)
    except Exception as error:
        raise _uncopyable(function, method, error) from error


def _uncopyable(function: object, method: str, error: Exception) -> GraphError:
    return refusal(
        method,
        f"got {_name(function)}, which cannot be copied ({type(error).__name__}: {error}). Each "
        "subtask works on its own copy: what cannot be copied (a connection, a lock, an open "
        "file) must not be made in __init__; create it in open()",
    )


def _describe_value(value: object) -> str:
    text = repr(value)
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"{text} of type {type(value).__name__}"


def _name(function: object) -> str:
    if isinstance(function, Function):
        return type(function).__qualname__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return str(name).rpartition("<locals>.")[2]
