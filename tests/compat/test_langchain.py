"""LangChain's standard tests for chat models and embeddings, over both of our dialects.

Against engines that know the answers (`responder.py`) every test passes, on a model whose template
writes tools and on one whose does not. What the starter model cannot do is in
`test_langchain_starter.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    EmbeddingsIntegrationTests,
)

from tests.compat.running import Server

pytestmark = [
    # LangChain's own: it serializes what the SDK has parsed, and tells what it will not do.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema"),
]

# The suites never close a client: a kept connection would outlive the event loop of its test.
HEADERS = {"Connection": "close"}


class NativeChat(ChatModelIntegrationTests):
    """`ChatOllama`, on `/api`."""

    model_name = "tools"
    server: Server

    @pytest.fixture(autouse=True)
    def _reach(self, responder_server: Server) -> None:
        self.server = responder_server

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOllama

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.model_name,
            "base_url": self.server.root,
            "temperature": 0,
            "client_kwargs": {"headers": HEADERS},
        }

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "tiny"


class OpenAIChat(NativeChat):
    """`ChatOpenAI`, on `/v1`."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "model": self.model_name,
            "base_url": self.server.base_url,
            "api_key": "unused",
            "temperature": 0,
            "stream_usage": True,
            "default_headers": HEADERS,
        }


class TestNativeChat(NativeChat):
    """Calls as the engine reads them out of the answer."""


class TestNativeChatWithWrittenTools(NativeChat):
    """Calls as our grammar has them written."""

    model_name = "tiny"


class TestOpenAIChat(OpenAIChat):
    """Calls as the engine reads them out of the answer."""


class TestOpenAIChatWithWrittenTools(OpenAIChat):
    """Calls as our grammar has them written."""

    model_name = "tiny"


class TestNativeEmbeddings(EmbeddingsIntegrationTests):
    """`OllamaEmbeddings`, on `/api`."""

    @pytest.fixture(autouse=True)
    def _reach(self, scripted_server: Server) -> None:
        self.server = scripted_server

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OllamaEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": "team/embed",
            "base_url": self.server.root,
            "client_kwargs": {"headers": HEADERS},
        }


class TestOpenAIEmbeddings(TestNativeEmbeddings):
    """`OpenAIEmbeddings`, on `/v1`, sending text: its default sends tokens of OpenAI's models."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {
            "model": "team/embed",
            "base_url": self.server.base_url,
            "api_key": "unused",
            "check_embedding_ctx_length": False,
            "default_headers": HEADERS,
        }
