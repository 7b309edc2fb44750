"""Whole jobs in a simulated world: virtual time, a disk that forgets, processes that die."""

from streamlet.testing.simulation.crash_points import CRASH_POINTS, Crash
from streamlet.testing.simulation.disk import SimulatedDisk
from streamlet.testing.simulation.fates import Ask, Fate, Flip, FullDisk
from streamlet.testing.simulation.files import Files
from streamlet.testing.simulation.loop import SimulatedLoop, SimulationHang
from streamlet.testing.simulation.report import SimulationFailure, SimulationReport
from streamlet.testing.simulation.simulate import simulate, simulate_files, simulate_schedule
from streamlet.testing.simulation.source import ReplayedScript, ReplayedSource

__all__ = [
    "CRASH_POINTS",
    "Ask",
    "Crash",
    "Fate",
    "Files",
    "Flip",
    "FullDisk",
    "ReplayedScript",
    "ReplayedSource",
    "SimulatedDisk",
    "SimulatedLoop",
    "SimulationFailure",
    "SimulationHang",
    "SimulationReport",
    "simulate",
    "simulate_files",
    "simulate_schedule",
]
