"""The endpoints of the scripted engine, and its slots."""

from __future__ import annotations

import base64
import hmac
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from reshore.engine.base import LaunchPlan
from reshore.engine.child import Launch
from reshore.engine.echo import tokens
from reshore.engine.echo.generation import Generation, error_body
from reshore.engine.echo.http import Connection, Request
from reshore.engine.echo.script import Script, make_script
from reshore.engine.echo.shapes import Call, ChatShape, CompletionShape, NativeShape, Shape
from reshore.models.facts import Pooling

_REMEMBERED = 64
_OPEN = frozenset({"/health", "/v1/health", "/models", "/v1/models", "/"})
_INVALID = "invalid_request_error"
_SHAPES: dict[str, Callable[[Call], Shape]] = {
    "/v1/chat/completions": ChatShape,
    "/v1/completions": CompletionShape,
    "/completion": NativeShape,
    "/infill": NativeShape,
}


class Refused(Exception):
    """A request that the engine answers with an error."""

    def __init__(self, status: int, message: str, kind: str = _INVALID, **more: int) -> None:
        super().__init__(message)
        self.status, self.kind, self.more = status, kind, more


class EchoEngine:
    """Handles the requests of all connections. Owned by the event loop's thread."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._bearer = f"Bearer {launch.key}".encode()
        self._free = list(range(launch.plan.slots))
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._requests: deque[dict[str, Any]] = deque(maxlen=_REMEMBERED)

    def handle(self, connection: Connection, request: Request) -> None:
        """Answer one request; errors become llama.cpp's error bodies."""
        try:
            if request.path not in _OPEN:
                self._authorize(request)
            if request.method == "GET":
                connection.respond(200, msgspec.json.encode(self._get(request.path)))
            else:
                self._post(connection, request)
        except Refused as refused:
            body = error_body(refused.status, str(refused), refused.kind, **refused.more)
            connection.respond(refused.status, body)
        except (ValueError, TypeError, AttributeError) as error:
            connection.respond(400, error_body(400, str(error), _INVALID))

    def _authorize(self, request: Request) -> None:
        if not hmac.compare_digest(request.header("authorization").encode(), self._bearer):
            raise Refused(401, "Invalid API Key", "authentication_error")

    def _get(self, path: str) -> Any:
        match path:
            case "/health" | "/v1/health" | "/":
                return {"status": "ok"}
            case "/models" | "/v1/models":
                return {"object": "list", "data": [{"id": self._launch.name, "object": "model"}]}
            case "/props":
                return self._props()
            case "/slots":
                return self._slots()
            case "/echo/requests":
                return list(self._requests)
        raise Refused(404, "File Not Found", "not_found_error")

    def _props(self) -> dict[str, Any]:
        plan = self._launch.plan
        return {
            "default_generation_settings": {"params": {}, "n_ctx": plan.context_length},
            "total_slots": plan.slots,
            "model_alias": self._launch.name,
            "model_path": self._launch.model_path,
            "modalities": {"vision": False, "video": False, "audio": False},
            "endpoint_slots": True,
            "chat_template": "chatml",
            "chat_template_caps": {"supports_tools": False, "supports_tool_calls": False},
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "build_info": "b0-echo",
            "is_sleeping": False,
        }

    def _slots(self) -> list[dict[str, Any]]:
        plan = self._launch.plan
        return [
            {"id": slot, "n_ctx": plan.context_length, "is_processing": slot not in self._free}
            for slot in range(plan.slots)
        ]

    def _post(self, connection: Connection, request: Request) -> None:
        body = _object(request.body)
        self._requests.append({"path": request.path, "body": body})
        if request.path in _SHAPES:
            self._generate(connection, request, body)
            return
        answer = self._answer(request.path, body)
        connection.respond(200, msgspec.json.encode(answer))

    def _answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        match path:
            case "/tokenize":
                return _tokenized(body)
            case "/detokenize":
                return {"content": tokens.detokenize(body.get("tokens", []))}
            case "/apply-template":
                return {"prompt": tokens.apply_template(_messages(body))}
            case "/v1/chat/completions/input_tokens":
                counted = len(tokens.tokenize(tokens.apply_template(_messages(body))))
                return {"input_tokens": counted, "object": "response.input_tokens"}
            case "/v1/embeddings" | "/embeddings":
                return self._embeddings(body)
        raise Refused(404, "File Not Found", "not_found_error")

    def _embeddings(self, body: dict[str, Any]) -> dict[str, Any]:
        launch = self._launch
        if not launch.plan.embedding:
            raise Refused(
                501,
                "This server does not support embeddings. Start it with `--embeddings`",
                "not_supported_error",
            )
        inputs = [tokens.tokenize(tokens.text_of(one)) for one in _inputs(body)]
        for one in inputs:
            _check_input(len(one), launch.plan)
        as_base64 = body.get("encoding_format") == "base64"
        data = [
            {"embedding": _vector(one, launch.embedding_length, as_base64), "index": index,
             "object": "embedding"}
            for index, one in enumerate(inputs)
        ]  # fmt: skip
        total = sum(map(len, inputs))
        usage = {"prompt_tokens": total, "total_tokens": total}
        return {"model": launch.name, "object": "list", "usage": usage, "data": data}

    def _generate(self, connection: Connection, request: Request, body: dict[str, Any]) -> None:
        if self._launch.plan.embedding:
            raise Refused(501, "This server does not support completions.", "not_supported_error")
        said, prompt = _prompt(request.path, body)
        prompt_tokens = len(tokens.tokenize(prompt))
        context = self._launch.plan.context_length
        _check_context(prompt_tokens, context)
        script = make_script(
            said,
            self._launch.echo,
            limit=_limit(body),
            stop=_stops(body),
            room=context - prompt_tokens,
            body=request.body,
        )
        if script.status is not None:
            raise Refused(script.status, "scripted status", "server_error")
        count = self._count(body)
        shape = _SHAPES[request.path](self._call(body, prompt, prompt_tokens))
        self._acquire(connection, count, shape, script, stream=body.get("stream") is True)

    def _count(self, body: dict[str, Any]) -> int:
        count, slots = body.get("n") or 1, self._launch.plan.slots
        if not 1 <= count <= slots:
            raise ValueError(
                f"Field 'n': Value must be between 1 <= value <= {slots}, but got {count}"
            )
        return int(count)

    def _call(self, body: dict[str, Any], prompt: str, prompt_tokens: int) -> Call:
        return Call(
            model=self._launch.name,
            created_s=int(time.time()),
            prompt=prompt,
            prompt_tokens=prompt_tokens,
            include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
            logprobs=_logprobs(body),
            settings={
                name: body[name] for name in ("seed", "temperature", "n_predict") if name in body
            },
        )

    def _acquire(
        self, connection: Connection, count: int, shape: Shape, script: Script, *, stream: bool
    ) -> None:
        """Start the generation when slots are free; who comes first is first."""
        held: list[int] = []

        def release() -> None:
            self._free.extend(held)
            held.clear()
            self._admit()

        def start() -> None:
            held.extend(self._free[:count])
            del self._free[:count]
            generation = Generation(connection, shape, script, count, release)
            generation.stream() if stream else generation.collect()

        waiting = (count, start)
        self._queue.append(waiting)
        connection.on_leave = lambda: self._queue.remove(waiting)
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._queue[0][0] <= len(self._free):
            self._queue.popleft()[1]()


def _check_context(count: int, context: int) -> None:
    if count >= context:
        raise Refused(
            400,
            f"request ({count} tokens) exceeds the available context size ({context} tokens), try "
            "increasing it",
            "exceed_context_size_error",
            n_prompt_tokens=count,
            n_ctx=context,
        )


def _check_input(count: int, plan: LaunchPlan) -> None:
    """Only what is embedded by its last token may come in several physical batches."""
    if plan.pooling == Pooling.LAST:
        _check_context(count, plan.context_length)
    elif count > plan.micro_batch:
        raise Refused(
            500,
            f"input ({count} tokens) is too large to process. increase the physical batch size "
            f"(current batch size: {plan.micro_batch})",
            "server_error",
        )


def _object(body: bytes) -> dict[str, Any]:
    value = msgspec.json.decode(body or b"{}")
    if not isinstance(value, dict):
        raise ValueError("request body must be a JSON object")
    return value


def _messages(body: dict[str, Any]) -> list[Any]:
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise ValueError("'messages' is required")
    return messages


def _prompt(path: str, body: dict[str, Any]) -> tuple[str, str]:
    """What is answered to, and the whole text whose tokens count."""
    if path == "/v1/chat/completions":
        messages = _messages(body)
        users = [m for m in messages if isinstance(m, dict) and m.get("role") == "user"]
        return tokens.content_of(users[-1] if users else None), tokens.apply_template(messages)
    if path == "/infill":
        for name in ("input_prefix", "input_suffix"):
            if name not in body:
                raise ValueError(f'"{name}" is required')
        return body["input_prefix"], body["input_prefix"] + body["input_suffix"]
    if "prompt" not in body:
        raise ValueError("[json.exception.out_of_range.403] key 'prompt' not found")
    prompt = tokens.text_of(body["prompt"])
    return tokens.last_said(prompt), prompt


def _limit(body: dict[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens", "n_predict"):
        value = body.get(name)
        if isinstance(value, int) and value >= 0:
            return max(1, value)  # as llama.cpp: one token comes whatever is asked
    return None


def _stops(body: dict[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop") or ()
    return (stop,) if isinstance(stop, str) else tuple(text for text in stop if text)


def _logprobs(body: dict[str, Any]) -> int | None:
    """Alternatives per token, None if no log-probabilities are asked for."""
    asked = body.get("logprobs")
    if asked is True:
        return int(body.get("top_logprobs") or 0)
    if body.get("top_logprobs"):
        raise ValueError("top_logprobs requires logprobs to be set to true")
    return int(asked or body.get("n_probs") or 0) or None


def _tokenized(body: dict[str, Any]) -> dict[str, Any]:
    found = tokens.tokenize(body.get("content", ""))
    if not body.get("with_pieces"):
        return {"tokens": found}
    return {"tokens": [{"id": token, "piece": [token]} for token in found]}


def _inputs(body: dict[str, Any]) -> list[Any]:
    given = body.get("input", body.get("content"))
    if given is None or given == []:
        raise ValueError('"input" or "content" must be provided')
    if isinstance(given, list) and not isinstance(given[0], int):
        return given
    return [given]


def _vector(one: list[int], length: int, as_base64: bool) -> Any:
    values = tokens.embed(one, length)
    return base64.b64encode(values.tobytes()).decode() if as_base64 else values.tolist()
