"""Calls as users write them. `make types` checks this file with mypy, mypy without pydantic's plugin, and pyright.

The upper part must be accepted. Each line of the lower part must be refused: a comment that silences nothing is an
error too. The file is never run.
"""

from collections.abc import Awaitable

from langchain_core.callbacks import StdOutCallbackHandler
from pydantic import SecretStr

from kilo_gateway import GatewaySettings, KiloBudget
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM


def fresh_key() -> str:
    """Return a key."""
    return "key"


async def later() -> str:
    """Return a key."""
    return "key"


def promised() -> Awaitable[str]:
    """Return a key that is still to come."""
    return later()


ChatKilo()
ChatKilo(tier="frontier", mode="plan")
ChatKilo(tier="org", mode="our-own-mode")
ChatKilo(auto_tier="small", model_name="kilo-auto/small")
ChatKilo(model="anthropic/claude-sonnet-4.6", api_key="key", organization_id="3f6c2f0e-8a57-4f0c-9a3b-5d1c7e2b9a40")
ChatKilo(api_key=SecretStr("key"), base_url="https://api.kilo.ai/api/gateway", timeout=60)
ChatKilo(api_key=fresh_key)
ChatKilo(api_key=later, request_timeout=60.0)
KiloLLM(api_key=promised, api_base="https://api.kilo.ai/api/gateway")
ChatKilo(reasoning="high", verbosity="low", api="responses", stop="END", temperature=0, seed=7)
ChatKilo(reasoning={"max_tokens": 2000}, stop_sequences=["END"], use_responses_api=True, logit_bias={42: -1})
ChatKilo(provider={"order": ["anthropic"]}, data_collection="deny", budget=KiloBudget(limit_usd=1))
ChatKilo(default_headers={"x-team": SecretStr("blue")}, extra_body={"top_k": 40}, model_kwargs={"user": "42"})
ChatKilo(callbacks=[StdOutCallbackHandler()], tags=["a"], name="writer", disable_streaming="tool_calling", cache=False)
KiloLLM(tier="balanced", system_prompt="Be brief.", context_window=200_000, strict=True)
KiloLLM(structured_output_method="json_schema", additional_kwargs={"user": "42"}, plugins=[{"id": "web"}])
KiloEmbeddings(model="openai/text-embedding-3-small", dimensions=256, chunk_size=32, show_progress_bar=True)
KiloEmbedding(model_name="openai/text-embedding-3-small", embed_batch_size=32, api_key="key")
GatewaySettings(tier="free")
ChatKilo().with_tier("frontier").with_mode("plan").with_api("messages").invoke("Hi", temperature=0, mode="code")

ChatKilo(tier="frontire")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # misspelt
ChatKilo(reasoning="hihg")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # misspelt
ChatKilo(temprature=0)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # misspelt
ChatKilo(api="chat")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # no such interface
ChatKilo(verbosity="loud")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # no such level
ChatKilo(api_key=42)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # not a key
ChatKilo().with_tier("gold")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # no such tier
KiloLLM(tier="frontire")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # misspelt
KiloLLM(is_chat_model=True)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # of OpenAILike
KiloEmbeddings(tier="free")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] # embeddings have no tier
KiloEmbedding(dimensions="256")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # not a number
