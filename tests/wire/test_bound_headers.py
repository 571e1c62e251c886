"""Test that headers bound to a model reach the gateway unchanged."""

from pydantic import SecretStr

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo


async def test_bound_headers_are_sent(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(model="sandbox/echo", base_url=kilo_sandbox.base_url, default_headers={"x-a": "1", "x-b": "1"})
    bound = llm.bind(extra_headers={"x-b": "2", "x-c": SecretStr("3")})
    bound.invoke("hi")
    _ = [chunk async for chunk in bound.astream("hi")]
    for request in kilo_sandbox.requests:
        assert [request.headers[name] for name in ("x-a", "x-b", "x-c")] == ["1", "2", "3"]
