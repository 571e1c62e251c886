"""Test that ChatKilo's errors have LangChain's classes too, which its retries and fallbacks use."""

import pickle
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRetryMiddleware
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from kilo_gateway import KiloCreditsError, KiloError, KiloRateLimitError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from langchain_kilo import errors as chat_errors


def model(kilo_sandbox: Sandbox, name: str, **more: Any) -> ChatKilo:
    return ChatKilo(model=f"sandbox/{name}", base_url=kilo_sandbox.base_url, max_retries=0, **more)


KINDS = [
    ("error-400", ModelInvalidRequestError, False),
    ("error-invalid-token", ModelAuthenticationError, False),
    ("error-paid-model", ModelAuthenticationError, False),
    ("error-no-balance", ModelPermissionDeniedError, False),
    ("error-model-not-allowed", ModelPermissionDeniedError, False),
    ("error-model-not-found", ModelNotFoundError, False),
    ("error-context-length-500", ContextOverflowError, False),
    ("error-429", ModelRateLimitError, True),
    ("error-promotion-limit", ModelRateLimitError, False),
    ("error-502", ModelAPIError, True),
    ("error-no-free-models", ModelAPIError, False),
    ("error-empty-405", ModelInvalidRequestError, False),
    ("error-html-200", ModelAPIError, True),
    ("cut-stream", ModelConnectionError, True),
    ("stream-error-disconnect", ModelAPIError, True),
]


@pytest.mark.parametrize(("name", "kind", "retryable"), KINDS)
async def test_kinds(kilo_sandbox: Sandbox, name: str, kind: type[ModelError], retryable: bool) -> None:
    llm = model(kilo_sandbox, name)
    caught: list[Any] = []
    try:
        list(llm.stream("hi"))
    except KiloError as error:
        caught.append(error)
    try:
        _ = [chunk async for chunk in llm.astream("hi")]
    except KiloError as error:
        caught.append(error)
    assert len(caught) == 2
    for raised in caught:
        assert isinstance(raised, kind)
        assert isinstance(raised, KiloError)
        assert raised.is_retryable is raised.retryable is retryable


def test_a_timeout(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(ModelTimeoutError):
        model(kilo_sandbox, "stall", timeout=0.2).invoke("hi")


def test_the_classes_have_a_module_and_can_be_pickled(kilo_sandbox: Sandbox) -> None:
    with pytest.raises(KiloRateLimitError) as caught:
        model(kilo_sandbox, "error-429").invoke("hi")
    assert type(caught.value) is chat_errors.KiloRateLimitError
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 -- this line made it
    assert isinstance(copy, ModelRateLimitError)
    assert (str(copy), copy.is_retryable) == (str(caught.value), True)


def test_fallbacks_and_retries_of_runnables(kilo_sandbox: Sandbox) -> None:
    good = model(kilo_sandbox, "echo")
    chain = model(kilo_sandbox, "error-no-balance").with_fallbacks([good], exceptions_to_handle=(KiloCreditsError,))
    assert chain.invoke("hi").response_metadata["model_name"] == "sandbox/echo"
    kilo_sandbox.clear()
    flaky = model(kilo_sandbox, "flaky-429").with_retry(
        retry_if_exception_type=(ModelRateLimitError,), wait_exponential_jitter=False, stop_after_attempt=2
    )
    assert flaky.invoke("hi").text
    assert [record.status for record in kilo_sandbox.requests] == [429, 200]


@pytest.mark.parametrize(
    ("name", "requests"), [("error-502", 3), ("error-no-balance", 1), ("error-promotion-limit", 1)]
)
def test_the_retry_middleware_retries_temporary_errors(kilo_sandbox: Sandbox, name: str, requests: int) -> None:
    retry = ModelRetryMiddleware(max_retries=2, initial_delay=0, on_failure="error")
    agent: Any = create_agent(model(kilo_sandbox, name), middleware=[retry])
    with pytest.raises(KiloError):
        agent.invoke({"messages": [("user", "hi")]})
    assert len(kilo_sandbox.requests) == requests


def test_the_fallback_middleware_falls_back(kilo_sandbox: Sandbox) -> None:
    fallback = ModelFallbackMiddleware(model(kilo_sandbox, "echo"))
    agent: Any = create_agent(model(kilo_sandbox, "error-502"), middleware=[fallback])
    answer = agent.invoke({"messages": [("user", "hi")]})["messages"][-1]
    assert answer.response_metadata["model_name"] == "sandbox/echo"


def test_on_llm_error_receives_the_partial_answer(kilo_sandbox: Sandbox) -> None:
    class Errors(BaseCallbackHandler):
        received: tuple[Any, str] | None = None

        def on_llm_error(self, error: BaseException, *, response: Any = None, **kwargs: Any) -> None:
            self.received = (error, response.generations[0][0].text)

    handler = Errors()
    with pytest.raises(KiloError) as caught:
        list(model(kilo_sandbox, "cut-stream").stream("hi", config={"callbacks": [handler]}))
    assert handler.received == (caught.value, caught.value.partial_text)
    assert caught.value.partial_text


def test_a_base_class_catches_its_subclasses() -> None:
    assert issubclass(chat_errors.KiloContextLengthError, chat_errors.KiloInvalidRequestError)
    assert issubclass(chat_errors.KiloStreamInterruptedError, chat_errors.KiloConnectionError)
    assert issubclass(chat_errors.KiloSignInRequiredError, chat_errors.KiloAuthenticationError)
    assert not issubclass(chat_errors.KiloAuthenticationError, ModelAPIError)


@pytest.mark.parametrize("status", [408, 504])
def test_a_timeout_of_the_provider_is_a_timeout(kilo_sandbox: Sandbox, status: int) -> None:
    with pytest.raises(ModelTimeoutError) as caught:
        ChatKilo(model=f"sandbox/error-{status}", base_url=kilo_sandbox.base_url, max_retries=0).invoke("hi")
    assert isinstance(caught.value, chat_errors.KiloServerError)
    assert caught.value.is_retryable is True
