"""Public fakes: they keep the real contracts, without a model and without waiting.

`MovableClock` is a clock that only moves when told. `FakeEngine` and `FakeLauncher` stand where
llama.cpp would: a test decides when an engine becomes ready, fails or crashes, and can ask
afterwards how many were alive at once. `ScriptedUpstream` stands where a cloud would, on a real
socket, with every fault that one can have.
"""

from __future__ import annotations

from reshore.testing.clock import MovableClock, settle
from reshore.testing.engines import MIB, FakeEngine, FakeLauncher, fake_model
from reshore.testing.performing import Received
from reshore.testing.script import FAULTS, Scenario, Script, load_scenario, named_fault
from reshore.testing.upstream import ScriptedUpstream

__all__ = [
    "FAULTS",
    "MIB",
    "FakeEngine",
    "FakeLauncher",
    "MovableClock",
    "Received",
    "Scenario",
    "Script",
    "ScriptedUpstream",
    "fake_model",
    "load_scenario",
    "named_fault",
    "settle",
]
