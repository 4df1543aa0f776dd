"""LangChain's own tests for chat models, for each of its clients and through a daemon. Run by `test_langchain.py`.

It runs in an environment of its own, so it imports nothing of ours. `CCINSPECT_JUDGED` is the address of the daemon,
whose providers are `to-DIALECT`. Left out are tests that need a model that understands (which tool to call for a
question), since the fake provider only repeats what it was told, and those that fetch an image from the internet.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests.chat_models import ChatModelIntegrationTests

URL = os.environ["CCINSPECT_JUDGED"]
UPSTREAMS = ("anthropic", "openai-chat", "openai-responses", "gemini", "ollama")
TESTS = (
    "test_invoke",
    "test_ainvoke",
    "test_stream",
    "test_astream",
    "test_stream_events_v3",
    "test_astream_events_v3",
    "test_batch",
    "test_abatch",
    "test_conversation",
    "test_double_messages_conversation",
    "test_usage_metadata",
    "test_usage_metadata_streaming",
    "test_stop_sequence",
    "test_tool_message_histories_string_content",
    "test_tool_message_histories_list_content",
    "test_tool_message_error_status",
    "test_structured_few_shot_examples",
    "test_tool_choice",
    "test_message_with_name",
)


def anthropic(key: str) -> tuple[type, dict[str, Any]]:
    return ChatAnthropic, {"model": "claude-x", "base_url": URL, "api_key": key, "max_retries": 0}


def openai_chat(key: str) -> tuple[type, dict[str, Any]]:
    options = {"model": "gpt-x", "base_url": f"{URL}/v1", "api_key": key, "max_retries": 0}
    # Else it asks for the counts at OpenAI's own address only.
    return ChatOpenAI, {**options, "stream_usage": True}


def openai_responses(key: str) -> tuple[type, dict[str, Any]]:
    client, options = openai_chat(key)
    return client, {**options, "use_responses_api": True}


def gemini(key: str) -> tuple[type, dict[str, Any]]:
    return ChatGoogleGenerativeAI, {"model": "gemini-x", "base_url": URL, "google_api_key": key, "max_retries": 1}


def ollama(key: str) -> tuple[type, dict[str, Any]]:
    headers = {"authorization": f"Bearer {key}"}
    return ChatOllama, {"model": "llama-x", "base_url": URL, "client_kwargs": {"headers": headers}}


def judge(client: Any, upstream: str) -> type:
    """The tests for one client, with requests told to one upstream."""
    made, options = client(f"sk-ccinspect-to-{upstream}")
    members: dict[str, Any] = {
        "chat_model_class": property(lambda self: made),
        "chat_model_params": property(lambda self: options),
        # Ollama has no word for it.
        "has_tool_choice": property(lambda self: "ollama" not in (client.__name__, upstream)),
    }
    # None hides one from pytest.
    members |= {name: None for name in dir(ChatModelIntegrationTests) if name.startswith("test_") and name not in TESTS}
    return type(f"Test_{client.__name__}_{upstream.replace('-', '_')}", (ChatModelIntegrationTests,), members)


for _client, _upstream in itertools.product((anthropic, openai_chat, openai_responses, gemini, ollama), UPSTREAMS):
    _class = judge(_client, _upstream)
    globals()[_class.__name__] = _class
