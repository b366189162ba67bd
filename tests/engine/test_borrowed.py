"""An engine under the name of another model."""

from reshore.engine.base import State
from reshore.engine.borrowed import Borrowed
from reshore.testing import FakeLauncher, fake_model


async def test_all_but_the_model_is_the_engines_own() -> None:
    launcher = FakeLauncher()
    base, derived = fake_model("base"), fake_model("derived")
    engine = launcher.launch(base, launcher.plan(base, 1 << 30))
    borrowed = Borrowed(engine, derived)
    await engine.start()
    assert borrowed.model is derived
    assert (borrowed.state, borrowed.address) == (State.READY, engine.address)
    assert (borrowed.slots, borrowed.context_length) == (engine.slots, engine.context_length)
    assert borrowed.log_tail == engine.log_tail
    await borrowed.stop()
    assert engine.state is State.STOPPED
    assert await borrowed.wait_exit() == await engine.wait_exit()
