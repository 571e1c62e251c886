"""The known facts about a model, as LangChain's model profile. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.language_models import ModelProfile

if TYPE_CHECKING:
    from kilo_gateway.models.info import ModelInfo

# Later versions of core added keys, and core warns about keys that it does not know.
_KEYS: Final = frozenset(ModelProfile.__annotations__)


@lru_cache(maxsize=256)
def profile_of(info: ModelInfo) -> ModelProfile:
    """Return the profile of a model, which must not be changed; facts that are not reported are left out."""
    takes, gives = info.input_modalities, info.output_modalities
    facts: dict[str, Any] = {
        "name": info.name,
        "max_input_tokens": info.context_length,
        "max_output_tokens": info.max_output_tokens,
        "reasoning_output": info.supports_reasoning,
        "reasoning_effort_levels": list(info.reasoning_efforts) or None,
        "tool_calling": info.supports_tools,
        "structured_output": info.supports_structured_outputs,
    }
    if takes:
        facts |= {f"{kind}_inputs": kind in takes for kind in ("text", "image", "audio", "video")}
        facts |= {"image_url_inputs": "image" in takes, "pdf_inputs": not {"file", "pdf"}.isdisjoint(takes)}
    if gives:
        facts |= {f"{kind}_outputs": kind in gives for kind in ("text", "image", "audio", "video")}
    known = {name: value for name, value in facts.items() if value is not None and name in _KEYS}
    return cast("ModelProfile", known)
