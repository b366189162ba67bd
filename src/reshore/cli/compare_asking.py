"""What `reshore compare` asks: the targets for answers, and others for what they are worth."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
from msgspec import Struct

from reshore.cli.compare_progress import asking, ruling
from reshore.cli.hosted import served
from reshore.cli.loop import new_event_loop
from reshore.cli.output import note
from reshore.clock import SystemClock
from reshore.config import Config
from reshore.evals.compare.aims import Aim, aim
from reshore.evals.compare.answers import AnswerFile, key_of
from reshore.evals.compare.asking import Asker
from reshore.evals.compare.prompts import Prompt
from reshore.evals.compare.ruling import ServerAsks, rule_all
from reshore.evals.compare.running import Asks, Manner, Paced, ask_all
from reshore.evals.compare.summary import Answers, Rulings
from reshore.evals.deciding import InTurn
from reshore.evals.judging import Judge
from reshore.evals.judging import Manner as Judging
from reshore.evals.program import Program
from reshore.ledger.prices import Prices
from reshore.routing.aliases import Aliases
from reshore.telemetry.logs import configure

_CONNECT_S = 10.0


class Referees(Struct, frozen=True, kw_only=True):
    """Who says what answers are worth where checks cannot.

    Attributes:
        check: the user's own function or command, see `Program`; `judge`: a target; "" for none.
        own_family: let the judge grade its relatives.
    """

    check: str = ""
    judge: str = ""
    own_family: bool = False


class Questions(Struct, frozen=True, kw_only=True):
    """Everything that is to be asked."""

    prompts: tuple[Prompt, ...]
    targets: tuple[Aim, ...]
    manner: Manner
    referees: Referees

    @property
    def models(self) -> tuple[str, ...]:
        """The models of this machine that answer or judge."""
        judge = (aim(self.referees.judge),) if self.referees.judge else ()
        return tuple(each.model for each in (*self.targets, *judge) if each.lane == "local")

    def answers(self, kept: AnswerFile) -> Answers:
        """The answers so far, errors too."""
        found = (
            (prompt.id, target.text, kept.last(key_of(prompt, target.text)))
            for prompt in self.prompts
            for target in self.targets
        )
        return {(name, target): answer for name, target, answer in found if answer is not None}

    def answered(self, kept: AnswerFile) -> bool:
        """Whether no target has to be asked."""
        keys = (key_of(prompt, each.text) for prompt in self.prompts for each in self.targets)
        return all(map(kept.has, keys))


def ask(config: Config, questions: Questions, kept: AnswerFile) -> Rulings:
    """Get the answers that are missing, and what referees make of all of them.

    No server is needed where nobody has to be asked.

    Returns:
        What came of each pair; nothing without a referee.

    Raises:
        UnknownModel: there is no server, and no such model.
        Unreachable: the server went away.
        JudgeError: the user's own check cannot be run.
        CompareError: answers cannot be kept.
    """
    configure("CRITICAL")  # what goes wrong with a pair is told with it
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if questions.answered(kept) and not questions.referees.judge:
            return runner.run(_rulings(questions, None, kept))
        aliases = Aliases(config.aliases)
        with served(config, map(aliases.resolve, questions.models)) as server:
            try:
                return runner.run(_asked(server.socket, config, questions, kept))
            except KeyboardInterrupt:
                note("what was answered is kept; the same command goes on from here")
                raise


async def _asked(socket: Path, config: Config, questions: Questions, kept: AnswerFile) -> Rulings:
    # The server has limits of its own: no answer takes for ever.
    patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
    connector = aiohttp.UnixConnector(str(socket), limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:
        clock = SystemClock()
        prices = Prices(config.prices, config.upstreams)
        asker = Asker(session, "http://reshore", prices=prices, clock=clock)
        with asking(questions.prompts, questions.targets, kept) as shown:
            await ask_all(
                asker,
                questions.prompts,
                questions.targets,
                kept,
                manner=questions.manner,
                clock=clock,
                on_answer=shown,
            )
        return await _rulings(questions, Paced(asker, questions.manner.rate, clock), kept)


async def _rulings(questions: Questions, asker: Asks | None, kept: AnswerFile) -> Rulings:
    referees = questions.referees
    if not (referees.check or referees.judge):
        return {}
    judge = None
    if referees.judge and asker is not None:
        asks = ServerAsks(asker, aim(referees.judge), kept)
        manner = Judging(own_family=referees.own_family)
        judge = Judge(asks, referees.judge, clock=SystemClock(), manner=manner)
    decider = InTurn(Program(referees.check) if referees.check else None, judge)
    answers = questions.answers(kept)
    pairs = len(questions.prompts) * (len(questions.targets) - 1)
    with ruling(pairs) as shown:
        return await rule_all(
            decider,
            questions.prompts,
            answers,
            [each.text for each in questions.targets],
            parallel=questions.manner.parallel,
            on_ruling=shown,
        )
