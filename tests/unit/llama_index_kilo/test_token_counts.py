"""LlamaIndex's own token counter counts cached tokens on each interface."""

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, TokenCountingHandler

from kilo_gateway import Ending, Reply
from kilo_gateway.usage import Usage
from llama_index_kilo import KiloLLM, from_gateway

CHAT = {"prompt_tokens": 15, "completion_tokens": 5, "total_tokens": 20}
MESSAGES = {"input_tokens": 10, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 5}
RESPONSES = {"input_tokens": 15, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 5, "total_tokens": 20}


@pytest.mark.parametrize("sent", [CHAT, MESSAGES, RESPONSES])
def test_the_counter_includes_cached_tokens(sent: dict[str, object]) -> None:
    usage = Usage(prompt_tokens=15, completion_tokens=5, total_tokens=20, raw=sent)
    call = KiloLLM(api_key="k").prepare([], stream=False)
    response = from_gateway.response_of(Reply(text="Hi", ending=Ending(usage=usage)), call)
    assert isinstance(response.raw, dict)
    assert response.raw["usage"] == {**sent, **CHAT}

    counter = TokenCountingHandler(tokenizer=lambda text: [text] * 1000)
    manager = CallbackManager([counter])
    with manager.event(
        CBEventType.LLM, payload={EventPayload.MESSAGES: [ChatMessage(role="user", content="Hi")]}
    ) as event:
        event.on_end({EventPayload.MESSAGES: [ChatMessage("Hi")], EventPayload.RESPONSE: response})
    assert (counter.prompt_llm_token_count, counter.completion_llm_token_count) == (15, 5)
