"""Which prompts and answers are kept, and what of them: none unless told to. Pure."""

from __future__ import annotations

from zlib import crc32

from msgspec import structs

from reshore.config import LedgerConfig
from reshore.ledger.entry import PairTexts, Texts
from reshore.ledger.redaction import Redaction

# A text is looked through this many times as far as it is kept: what is blacked out makes room.
_LOOK = 4


class Censor:
    """What `[ledger]` says about texts."""

    def __init__(self, config: LedgerConfig) -> None:
        self._share = round(config.texts * 2**32)
        self._most = config.text_bytes
        self._redaction = Redaction(config.redact)

    def wants(self, request_id: str) -> bool:
        """Whether the texts of a request are among the sample; always the same for one request."""
        return self._share > 0 and crc32(request_id.encode()) < self._share

    def shorten(self, texts: Texts) -> Texts:
        """Without what will certainly not be kept: cheap, so that no queue holds it."""
        (prompt, answer), cut = self._shortened(texts.prompt, texts.answer)
        return structs.replace(texts, prompt=prompt, answer=answer, cut=texts.cut or cut)

    def shorten_pair(self, texts: PairTexts) -> PairTexts:
        """As `shorten`."""
        (prompt, local, cloud), cut = self._shortened(texts.prompt, texts.local, texts.cloud)
        return PairTexts(prompt=prompt, local=local, cloud=cloud, cut=texts.cut or cut)

    def black_out(self, texts: Texts) -> Texts:
        """As it may be stored."""
        (prompt, answer), cut = self._blackened(texts.prompt, texts.answer)
        return structs.replace(texts, prompt=prompt, answer=answer, cut=texts.cut or cut)

    def black_out_pair(self, texts: PairTexts) -> PairTexts:
        """As `black_out`."""
        (prompt, local, cloud), cut = self._blackened(texts.prompt, texts.local, texts.cloud)
        return PairTexts(prompt=prompt, local=local, cloud=cloud, cut=texts.cut or cut)

    def _shortened(self, *texts: str) -> tuple[list[str], bool]:
        most = self._most * _LOOK
        return [text[:most] for text in texts], any(len(text) > most for text in texts)

    def _blackened(self, *texts: str) -> tuple[list[str], bool]:
        kept = [self._kept(text) for text in texts]
        return [text for text, _ in kept], any(cut for _, cut in kept)

    def _kept(self, text: str) -> tuple[str, bool]:
        text, cut = self._redacted(text)
        raw = text.encode("utf-8", "replace")
        if len(raw) <= self._most:
            return text, cut
        return raw[: self._most].decode("utf-8", "ignore"), True

    def _redacted(self, text: str) -> tuple[str, bool]:
        if not self._redaction:
            return text, False
        black = self._redaction.black_out(text)
        if len(text) < self._most * _LOOK:
            return black, False
        # It may have been cut amid what a pattern would match, and with much of it blacked out the
        # end might be kept.
        return black[: -self._most], True
