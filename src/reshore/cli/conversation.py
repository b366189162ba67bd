"""A conversation with a model: what was said, and what was set."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

import msgspec

from reshore.cli.failure import ExitCode, Failure
from reshore.cli.images import read_images, with_paths
from reshore.cli.native import Description, NativeApi, Piece, Settings, Turn
from reshore.errors import UpstreamStatus
from reshore.models.names import parse_name


class Conversation:
    """What was said so far, and the model that continues it.

    Attributes:
        model: the name as it was asked for.
        settings: may be replaced at any time; in force from the next question on.
        verbose: whether answers are followed by what they took.
        shows_thinking: whether what the model thinks is shown.
    """

    def __init__(self, server: NativeApi, model: str, settings: Settings | None = None) -> None:
        self._server = server
        self._turns: list[Turn] = []
        self._description: Description | None = None
        self.model = model
        self.settings = settings or Settings()
        self.verbose = False
        self.shows_thinking = True

    def describe(self) -> Description:
        """What the server knows of the model; asked once."""
        if self._description is None:
            self._description = self._server.describe(self.model)
        return self._description

    def ask(self, text: str) -> Generator[Piece]:
        """Stream the answer. What was received stays in the history, however the answer ends.

        Images that the text names go with it, where the model sees. A question that got no answer
        at all is forgotten. Closing the iterator, an interrupt included, ends the generation.

        Raises:
            BackendError: the server refused, failed or went away.
            Failure: an image cannot be read, or not be used.
        """
        said = read_images(text, sees=lambda: "vision" in self.describe().capabilities)
        question = Turn(role="user", content=said.text, images=said.images)
        received: list[str] = []
        pieces = self._server.chat(self.model, [*self._turns, question], self.settings)
        try:
            with contextlib.closing(pieces):
                for piece in pieces:
                    received.append(piece.text)
                    yield piece
        except UpstreamStatus as error:
            if not said.paths:
                raise
            # Images of earlier messages were taken: of one that was refused nothing is kept.
            raise Failure(ExitCode.FAILURE, with_paths(str(error), said.paths)) from error
        finally:
            if answer := "".join(received):
                self._turns += [question, Turn(role="assistant", content=answer)]

    def change(self, **settings: object) -> None:
        """Replace some of the settings."""
        self.settings = msgspec.structs.replace(self.settings, **settings)

    def clear(self) -> None:
        """Forget what was said, but nothing that was set."""
        self._turns.clear()

    def start(self) -> Sequence[Turn]:
        """Have the model in memory.

        Returns:
            The conversation that comes with the model, which it continues.

        Raises:
            UnknownModel: there is no model of that name.
            BackendError: it does not chat, or cannot be loaded.
        """
        self._server.load(self.model, self.settings)
        return self.describe().messages

    def switch(self, model: str) -> Sequence[Turn]:
        """Begin anew with another model, as `start` does; if that fails nothing has changed."""
        other = Conversation(self._server, model, self.settings)
        said = other.start()
        self.model, self._description = model, other.describe()
        self.clear()
        return said

    def save(self, name: str) -> None:
        """Make a model of this one with what was set and said; images are left out.

        What was said goes on from the model's own conversation, which a new one would replace.

        Raises:
            BadName: it cannot be a model's name.
            BackendError: the server refused, failed or went away.
        """
        parse_name(name)
        said = [*self.describe().messages, *self._turns] if self._turns else []
        self._server.create(name, self.model, self.settings, said)
