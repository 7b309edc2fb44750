"""Builds the tasks of one attempt out of a plan: chains, channels, state, contexts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from streamlet.checkpoint.pending import TaskId
from streamlet.checkpoint.row_files import read_state
from streamlet.checkpoint.state_files import StateFiles
from streamlet.graph import Forward
from streamlet.metrics import MetricGroup
from streamlet.operators.chain import ChainedOperator, OperatorChain
from streamlet.operators.operator import OperatorContext
from streamlet.plan import PlannedEdge, PlannedOperator, PlannedVertex
from streamlet.runtime.channel import Channel
from streamlet.runtime.messages import Deploy
from streamlet.runtime.operator_task import OperatorTask
from streamlet.runtime.outputs import OutgoingEdge, Outputs
from streamlet.runtime.partition import make_router
from streamlet.runtime.snapshots import KeyedSnapshots, SnapshotWriter
from streamlet.runtime.source_task import SourceTask
from streamlet.runtime.task import Task, TaskParts, TaskSettings
from streamlet.state.keys import key_group_range
from streamlet.state.log import StateLog, open_store


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Which store keyed state lives in."""

    backend: str
    memory_bytes: int


@dataclass(slots=True)
class Deployed:
    """The tasks of one attempt and what must be let go of after them."""

    tasks: dict[TaskId, Task]
    logs: list[StateLog]
    executor: ThreadPoolExecutor


class Deployment:
    """Turns one Deploy message into tasks."""

    def __init__(
        self,
        deploy: Deploy,
        settings: TaskSettings,
        state: StateSettings,
        random: Random,
    ) -> None:
        self._deploy = deploy
        self._plan = deploy.plan
        self._settings = settings
        self._state = state
        self._random = random
        self._executor = ThreadPoolExecutor(2, "snapshot")
        self._channels = {
            edge_id: self._connect(edge) for edge_id, edge in enumerate(self._plan.edges)
        }
        self._logs: list[StateLog] = []

    def build(self) -> Deployed:
        """All tasks, with their state restored. Blocks while files are read."""
        deployed = Deployed({}, self._logs, self._executor)
        try:
            for vertex in self._plan.vertices:
                for subtask in range(vertex.parallelism):
                    deployed.tasks[vertex.id, subtask] = self._task(vertex, subtask)
        except BaseException:
            for log in self._logs:
                log.close()
            raise
        return deployed

    def _connect(self, edge: PlannedEdge) -> list[list[Channel]]:
        """Channels by sending and receiving subtask; a forward edge uses equal indexes."""
        senders = self._plan.vertices[edge.source_vertex].parallelism
        receivers = self._plan.vertices[edge.target_vertex].parallelism
        return [[Channel() for _ in range(receivers)] for _ in range(senders)]

    def _task(self, vertex: PlannedVertex, subtask: int) -> Task:
        task_id = (vertex.id, subtask)
        contexts = {op.uid: self._context(vertex, op, subtask) for op in vertex.operators}
        parts = TaskParts(
            task_id,
            self._chain(vertex),
            contexts,
            self._outputs(vertex, subtask),
            SnapshotWriter(
                task_id, self._keyed(vertex, subtask, contexts), self._executor, self._settings.tell
            ),
            self._settings,
        )
        if vertex.is_source:
            return SourceTask(vertex.head, parts)
        return OperatorTask(self._inputs(vertex, subtask), parts)

    def _chain(self, vertex: PlannedVertex) -> OperatorChain:
        senders = {edge.source_operator for edge in self._plan.outputs_of(vertex.id)}
        return OperatorChain(
            [
                ChainedOperator(
                    op.uid,
                    None if op.factory is None else op.factory(),
                    [(link.tag_id, link.operator_index) for link in op.outputs],
                    has_edges=position in senders,
                )
                for position, op in enumerate(vertex.operators)
            ]
        )

    def _context(
        self, vertex: PlannedVertex, operator: PlannedOperator, subtask: int
    ) -> OperatorContext:
        deploy = self._deploy
        context = OperatorContext(
            uid=operator.uid,
            name=operator.name,
            subtask_index=subtask,
            parallelism=vertex.parallelism,
            max_parallelism=vertex.max_parallelism,
            attempt=deploy.attempt,
            run_id=deploy.run_id,
            clock=self._settings.clock,
            metrics=MetricGroup(),
            next_checkpoint_id=deploy.next_checkpoint_id,
            restored=deploy.operator_state.get((operator.uid, subtask), ()),
        )
        if operator.is_keyed:
            context.keyed_state = self._state_log(vertex, operator, subtask, context.place())
        return context

    def _state_log(
        self, vertex: PlannedVertex, operator: PlannedOperator, subtask: int, place: str
    ) -> StateLog:
        key_groups = key_group_range(subtask, vertex.parallelism, vertex.max_parallelism)
        directory = self._deploy.work_directory / f"v{vertex.id}-{subtask}"
        store = open_store(self._state.backend, directory, self._memory_bytes())
        log = StateLog(store, key_groups, vertex.max_parallelism, place)
        self._logs.append(log)
        share = self._deploy.keyed_state.get((operator.uid, subtask))
        if share is not None:
            log.types.expect(share.states, share.key_types, must_meet=share.must_meet)
            log.restore(read_state(self._settings.disk, share.directory, share.files, key_groups))
        return log

    def _memory_bytes(self) -> int:
        """The share of one keyed subtask in what the worker may use."""
        keyed = [
            v.parallelism for v in self._plan.vertices if any(op.is_keyed for op in v.operators)
        ]
        return self._state.memory_bytes // sum(keyed)

    def _keyed(
        self, vertex: PlannedVertex, subtask: int, contexts: dict[str, OperatorContext]
    ) -> KeyedSnapshots | None:
        head = vertex.head
        log = contexts[head.uid].keyed_state
        if log is None:
            return None
        files = StateFiles(
            self._settings.disk,
            self._deploy.state_directory,
            f"v{vertex.id}-{subtask}-a{self._deploy.attempt}",
            key_group_range(subtask, vertex.parallelism, vertex.max_parallelism),
            self._deploy.keyed_state.get((head.uid, subtask)),
        )
        return KeyedSnapshots(head.uid, log, files)

    def _outputs(self, vertex: PlannedVertex, subtask: int) -> Outputs:
        edges = [
            self._outgoing(edge, self._channels[edge_id][subtask], subtask)
            for edge_id, edge in enumerate(self._plan.edges)
            if edge.source_vertex == vertex.id
        ]
        return Outputs(edges, self._settings.batch_sizes)

    def _outgoing(
        self, edge: PlannedEdge, channels: Sequence[Channel], subtask: int
    ) -> OutgoingEdge:
        target = self._plan.vertices[edge.target_vertex]
        is_forward = isinstance(edge.partitioning, Forward)
        router = make_router(
            edge.partitioning, subtask, target.parallelism, target.max_parallelism, self._random
        )
        targets = [subtask] if is_forward else range(target.parallelism)
        return OutgoingEdge(
            edge.source_operator, edge.tag_id, router, channels, targets, edge.carries_columns
        )

    def _inputs(self, vertex: PlannedVertex, subtask: int) -> list[Channel]:
        channels = []
        for edge_id, edge in enumerate(self._plan.edges):
            if edge.target_vertex != vertex.id:
                continue
            if isinstance(edge.partitioning, Forward):
                channels.append(self._channels[edge_id][subtask][subtask])
            else:
                channels += [sender[subtask] for sender in self._channels[edge_id]]
        return channels
