"""All pipelines that are simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tests.testing.simulation.columnar_pipelines import (
    crowded_session_columns,
    cumulative_columns,
    late_columns,
    rows_and_columns,
    running_columns,
    session_columns,
    sliding_columns,
    tumbling_columns,
)
from tests.testing.simulation.file_pipelines import file_to_file, windows_over_files
from tests.testing.simulation.simulated_pipelines import (
    Simulated,
    SimulatedFiles,
    both_timers,
    cumulative,
    operator_list_state,
    reduce_with_ttl,
    running_count,
    session,
    sliding,
    stateless,
    tumbling,
    union_with_idle_input,
)

PIPELINES: Final[Sequence[Callable[[], Simulated | SimulatedFiles]]] = (
    stateless,
    running_count,
    tumbling,
    sliding,
    cumulative,
    session,
    both_timers,
    union_with_idle_input,
    reduce_with_ttl,
    operator_list_state,
    file_to_file,
    windows_over_files,
    running_columns,
    tumbling_columns,
    sliding_columns,
    cumulative_columns,
    session_columns,
    crowded_session_columns,
    rows_and_columns,
    late_columns,
)
