"""No body whatever makes the sandbox fail: it is refused, or answered."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway.sandbox.admission import admit
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import Refusal
from kilo_gateway.sandbox.gateway.options import Options
from kilo_gateway.sandbox.gateway.provider_checks import UpstreamRefusal
from kilo_gateway.sandbox.model import canned
from kilo_gateway.sandbox.scenarios import SCENARIOS
from kilo_gateway.sandbox.wire import chat_completions as wire

SCALARS = st.none() | st.booleans() | st.integers(-3, 200) | st.text(max_size=8) | st.just("required")
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "tool", "system", "x"]) | JSON,
        "content": st.text() | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": JSON})) | JSON,
        "tool_calls": st.lists(st.fixed_dictionaries({"id": JSON, "function": JSON}), max_size=2) | JSON,
        "tool_call_id": JSON,
        "name": JSON,
    },
)
FUNCTIONS = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "get_x"]) | JSON}, optional={"description": JSON, "parameters": JSON}
)
TOOLS = st.lists(st.fixed_dictionaries({"type": st.just("function"), "function": FUNCTIONS}) | JSON, max_size=3)
FORMATS = st.fixed_dictionaries(
    {"type": st.sampled_from(["json_object", "json_schema", "text"])},
    optional={"json_schema": st.fixed_dictionaries({"schema": JSON}) | JSON},
)
BODIES = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["openrouter/free", "sandbox/echo", "kilo-auto/free", "sandbox/parallel-tools"]),
        "messages": st.lists(MESSAGES | JSON, max_size=3),
    },
    optional={
        "tools": TOOLS | JSON,
        "functions": JSON,
        "tool_choice": JSON,
        "response_format": FORMATS | JSON,
        "stop": JSON,
        "n": JSON,
        "max_tokens": JSON,
        "max_completion_tokens": JSON,
        "logprobs": JSON,
        "top_logprobs": JSON,
        "reasoning": JSON,
        "stream": JSON,
        "stream_options": JSON,
        "provider": JSON,
        "parallel_tool_calls": JSON,
    },
)
OPTIONS = Options.for_era("E3")


@given(BODIES | JSON)
def test_any_body_is_refused_or_answered(body: Any) -> None:
    call = Call({}, OPTIONS, json.dumps(body).encode())
    try:
        admit(call)
        replies = canned.answer(call)
        scenario = SCENARIOS[call.scenario] if call.scenario else None
        if scenario and scenario.reply:
            for reply in replies:
                scenario.reply(call, reply)
    except (Refusal, UpstreamRefusal):
        return
    assert wire.body(call, replies)["choices"]
    assert wire.frames(call, replies)[-1]["usage"]
