"""Whole jobs in a simulated world: virtual time, a disk that forgets, processes that die."""

from streamlet.testing.simulation.crash_points import CRASH_POINTS, Crash
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.loop import SimulatedLoop, SimulationHang
from streamlet.testing.simulation.simulate import (
    SimulationFailure,
    SimulationReport,
    simulate,
)
from streamlet.testing.simulation.source import ReplayedScript, ReplayedSource

__all__ = [
    "CRASH_POINTS",
    "Crash",
    "ReplayedScript",
    "ReplayedSource",
    "SimulatedDisk",
    "SimulatedLoop",
    "SimulationFailure",
    "SimulationHang",
    "SimulationReport",
    "simulate",
]
