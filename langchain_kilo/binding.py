"""The result of `ChatKilo.bind`: LangChain's binding, in which the values of headers do not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBinding
from pydantic import field_validator

from kilo_gateway.settings.types import hidden

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import _ChatModelBinding as _Binding
else:
    # The same class, with overloads for type checkers.
    _Binding = RunnableBinding[LanguageModelInput, AIMessage]


class ChatKiloBinding(_Binding):  # type: ignore[no-redef] # pydantic's plugin on a field named kwargs, as in core
    """A `ChatKilo` with keywords; binding further keywords or a config returns the same class."""

    @field_validator("kwargs")
    @classmethod
    def _hide_headers(cls, kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = kwargs.get("extra_headers")
        return {**kwargs, "extra_headers": hidden(headers)} if isinstance(headers, Mapping) else kwargs

    @classmethod
    def lc_id(cls) -> list[str]:
        """Return the name under which LangChain loads it again: a plain binding of a `ChatKilo`."""
        return RunnableBinding.lc_id()
