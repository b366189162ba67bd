"""A server that stands behind the chat of the terminal, without a socket."""

from __future__ import annotations

import msgspec

from reshore.errors import UpstreamStatus

SHOWN = {
    "capabilities": ["completion"],
    "details": {"family": "llama", "parameter_size": "134.5M", "quantization_level": "Q4_1"},
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
    "parameters": "temperature                    0.2",
    "template": "{{ prompt }}",
    "license": "apache-2.0",
    "modelfile": "FROM tiny",
}


class FakeServer:
    """Answers `/api/chat` with the words it is given, and remembers what it was asked.

    Args:
        words: of each answer.
        error: raised after them.
        models: what `/api/show` says, by name; nobody else is there.
    """

    def __init__(self, *words, error=None, models=None):
        self._words = words
        self._error = error
        self._models = {"m": SHOWN} if models is None else models
        self.asked = []
        self.created = []

    @property
    def said(self):
        """The messages of the last question."""
        return self.asked[-1]["messages"]

    def post(self, path, body):
        assert path == "/api/show"
        self._check(body["model"])
        return msgspec.json.encode(self._models[body["model"]])

    def stream(self, path, body, *, notices=None):
        body = msgspec.to_builtins(body)
        if path == "/api/create":
            self.created.append(body)
            yield {"status": "success"}
            return
        assert path == "/api/chat"
        self._check(body["model"])
        if not body["messages"]:
            yield {"model": body["model"], "done": True, "done_reason": "load"}
            return
        self.asked.append(body)
        if notices is not None:
            notices["num-ctx"] = "8192"
        for word in self._words:
            yield {"model": "m", "message": {"role": "assistant", "content": word}, "done": False}
        if self._error:
            raise self._error
        yield {
            "model": "m",
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "total_duration": 3_000_000_000,
            "load_duration": 1_000_000_000,
            "prompt_eval_count": 9,
            "prompt_eval_duration": 500_000_000,
            "eval_count": 2,
            "eval_duration": 1_500_000_000,
        }

    def _check(self, model):
        if model not in self._models:
            raise UpstreamStatus(f"model '{model}' not found", backend="reshore", status=404)
