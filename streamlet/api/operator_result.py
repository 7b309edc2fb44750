"""The settings that any result of an operator takes: name, uid, parallelism, chaining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from streamlet.api.call_site import call_site, refusal
from streamlet.errors import GraphError
from streamlet.graph import StreamNode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamlet.api.environment import StreamExecutionEnvironment
    from streamlet.graph import Edge
    from streamlet.operators.operator import Operator


class OperatorResult:
    """What a call to the API gives. The settings below apply to the operator it added."""

    def __init__(
        self, env: StreamExecutionEnvironment, inputs: Sequence[Edge], node_id: int | None
    ) -> None:
        self._env = env
        self._inputs = tuple(inputs)
        """The edges that an operator on this stream would get."""
        self._node_id = node_id
        """The operator that settings apply to; None where there is none of its own."""

    def name(self, name: str) -> Self:
        """How plans, metrics and errors call the operator."""
        if not isinstance(name, str) or not name:
            raise refusal("name", f"takes a non-empty string, got {name!r}")
        return self._set("name", name=name, has_own_name=True)

    def uid(self, uid: str) -> Self:
        """Names the operator's state, so that changed pipelines find it; unique in the job."""
        return self._set("uid", uid=uid)

    def set_parallelism(self, parallelism: int) -> Self:
        """How many subtasks the operator has."""
        return self._set("set_parallelism", parallelism=parallelism)

    def set_max_parallelism(self, max_parallelism: int) -> Self:
        """How far the operator can ever be scaled; fixed by its first checkpoint."""
        return self._set("set_max_parallelism", max_parallelism=max_parallelism)

    def start_new_chain(self) -> Self:
        """Runs the operator in a task apart from what is upstream."""
        return self._set("start_new_chain", chaining="head")

    def disable_chaining(self) -> Self:
        """Runs the operator in a task of its own."""
        return self._set("disable_chaining", chaining="never")

    def set_description(self, description: str) -> Self:
        """What plans say about the operator beside its name."""
        return self._set("set_description", description=description)

    def _set(self, method: str, **settings: Any) -> Self:
        if self._node_id is None:
            raise refusal(
                method,
                "applies to an operator, and this stream has none of its own: it only says how "
                "records are routed. Call it on the operator before or after",
            )
        try:
            self._env.graph.change(self._node_id, **settings)
        except GraphError as error:
            raise GraphError(f"{call_site()}: {error}") from None
        return self


def new_node(
    kind: str, factory: Callable[[], Operator] | None, description: str = "", **settings: Any
) -> StreamNode:
    """A node for the call at hand, named after its kind until the user names it."""
    fields = {"name": kind, "description": description, **settings}
    return StreamNode(id=-1, kind=kind, location=call_site(), factory=factory, **fields)
