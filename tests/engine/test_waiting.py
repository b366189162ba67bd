"""The environment that decides how an engine's threads wait."""

from __future__ import annotations

import pytest

from reshore.engine.waiting import GOMP_SPIN_ROUNDS, openmp_environment


def test_linux_spins_far_less_than_libgomp_would_but_more_than_not_at_all() -> None:
    assert openmp_environment("linux") == {"GOMP_SPINCOUNT": str(GOMP_SPIN_ROUNDS)}
    assert 0 < GOMP_SPIN_ROUNDS < 300_000


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_was_not_measured_is_left_alone(platform: str) -> None:
    assert openmp_environment(platform) == {}


def test_arm_takes_more_rounds_because_they_are_shorter() -> None:
    arm = openmp_environment("linux", "aarch64")
    assert int(arm["GOMP_SPINCOUNT"]) > GOMP_SPIN_ROUNDS
