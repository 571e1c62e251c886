"""The known facts about a model, as LangChain's model profile. Uses no network."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from langchain_core.language_models import ModelProfile

from kilo_gateway.models import known as known_models
from kilo_gateway.settings.chat import GatewaySettings

if TYPE_CHECKING:
    from kilo_gateway.models.info import ModelInfo

# Later versions of core added keys, and core warns about keys that it does not know.
_KEYS: Final = frozenset(ModelProfile.__annotations__)


class _Derived(NamedTuple):
    """A profile that follows from the facts about a model, and not one that the user gave."""

    model: str
    info: ModelInfo
    profile: ModelProfile


def known_profile(llm: GatewaySettings) -> ModelProfile | None:
    """Return the profile by what is known of the model now, or the last one if the user has changed it in place."""
    model = llm.model_id
    info = known_models.known(model, base_url=llm.base_url)
    last: _Derived | None = llm.__dict__.get("_derived_profile")
    if last is not None and last.model == model and (last.info is info or last.profile != profile_of(last.info)):
        return last.profile
    if info is None:
        return None
    profile = profile_of(info).copy()
    llm.__dict__["_derived_profile"] = _Derived(model, info, profile)
    return profile


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
