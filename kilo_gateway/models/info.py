"""One entry of `GET /models`, typed. Pure. See docs/gateway.md, "Models"."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kilo_gateway import routing
from kilo_gateway.encoding import lenient_json

_SMALLEST: Final = Decimal("1e-18")
"""USD per million tokens below which a price counts as 0."""


class ModelInfo(BaseModel):
    """Model metadata from the gateway. None means "not reported", never "no".

    Fields have the wire's names in snake_case, but `free` is `isFree` and `may_train_on_prompts` is
    `mayTrainOnYourPrompts`; keys that no field has are kept in `model_extra`. Make one with `ModelInfo.read`.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, protected_namespaces=())

    id: str = Field(min_length=1)
    name: str | None = None
    description: str | None = None
    created: int | None = None
    """Seconds since 1970; 0 for auto tiers."""
    context_length: int | None = Field(default=None, gt=0)
    """Tokens that prompt and answer may have together."""
    architecture: dict[str, Any] | None = None
    top_provider: dict[str, Any] | None = None
    pricing: dict[str, Any] | None = None
    """USD per token as the wire's strings; `prompt_price` and the other properties are easier to read."""
    per_request_limits: dict[str, Any] | None = None
    supported_parameters: tuple[str, ...] | None = None
    unsupported_parameters: tuple[str, ...] | None = None
    """Parameters that the model does not take, for a built-in entry, which does not know all that it takes."""
    as_of: date | None = None
    """The day of these facts, prices included, for a built-in entry of models.dev; None: the gateway reports them."""
    expiration_date: date | None = None
    """The day on which the model is switched off."""
    canonical_slug: str | None = None
    hugging_face_id: str | None = None
    default_parameters: dict[str, Any] | None = None
    preferred_index: int | None = Field(default=None, alias="preferredIndex")
    """The gateway's own order; lower comes first."""
    free: bool | None = Field(default=None, alias="isFree")
    may_train_on_prompts: bool | None = Field(default=None, alias="mayTrainOnYourPrompts")
    has_user_byok_available: bool | None = Field(default=None, alias="hasUserByokAvailable")
    """True if the account has its own key of the model's provider; reported to signed-in callers only."""
    auto_routing: dict[str, Any] | None = Field(default=None, alias="autoRouting")
    terminal_bench: dict[str, Any] | None = Field(default=None, alias="terminalBench")
    enkrypt: dict[str, Any] | None = None
    opencode: dict[str, Any] | None = None
    """Hints of the gateway for coding clients."""
    settings: dict[str, Any] | None = None
    versioned_settings: dict[str, Any] | None = None

    @classmethod
    def read(cls, entry: Any) -> Self | None:
        """Read an entry of the list, or return None for one without an id.

        A value of the wrong type counts as not reported, so that entry and list stay usable.
        """
        for _ in range(2):
            try:
                return cls.model_validate(entry)
            except ValidationError as error:
                if not isinstance(entry, dict):
                    return None
                entry = _without(entry, [fault["loc"] for fault in error.errors(include_url=False)])
        return None

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def vendor(self) -> str | None:
        """The part of the id before the slash; "" for a bare legacy id."""
        author, slash, _ = self.id.removeprefix("~").partition("/")
        return author if slash else None

    @property
    def max_output_tokens(self) -> int | None:
        """Tokens that an answer may have."""
        limit = lenient_json.number((self.top_provider or {}).get("max_completion_tokens"))
        return int(limit) if limit is not None and limit >= 1 else None

    @property
    def prompt_price(self) -> Decimal | None:
        """USD per million prompt tokens; None if it is not known in advance, as for most auto tiers."""
        return self._per_million("prompt")

    @property
    def completion_price(self) -> Decimal | None:
        """USD per million completion tokens; None if it is not known in advance."""
        return self._per_million("completion")

    @property
    def cache_read_price(self) -> Decimal | None:
        """USD per million prompt tokens read from the provider's cache."""
        return self._per_million("input_cache_read")

    @property
    def cache_write_price(self) -> Decimal | None:
        """USD per million prompt tokens written to the provider's cache."""
        return self._per_million("input_cache_write")

    @property
    def input_modalities(self) -> tuple[str, ...]:
        """Types of content in a prompt, such as `text` and `image`; empty if not reported."""
        return self._modalities("input_modalities")

    @property
    def output_modalities(self) -> tuple[str, ...]:
        """Types of content in an answer; empty if not reported."""
        return self._modalities("output_modalities")

    @property
    def supports_tools(self) -> bool | None:
        """True if the model calls tools."""
        return self._takes("tools")

    @property
    def supports_json_mode(self) -> bool | None:
        """True if the model can be made to answer in JSON of any shape."""
        return self._takes("response_format", "structured_outputs")

    @property
    def supports_structured_outputs(self) -> bool | None:
        """True if the model keeps to a JSON schema.

        `structured_outputs` says so; beside `response_format` alone, which is at least JSON mode, it is not known.
        """
        takes = self._takes("structured_outputs")
        return None if takes is False and self._takes("response_format") else takes

    @property
    def supports_reasoning(self) -> bool | None:
        """True if the model takes reasoning settings."""
        return self._takes("reasoning", "reasoning_effort", "include_reasoning")

    @property
    def supports_temperature(self) -> bool | None:
        """True if the model takes a temperature."""
        return self._takes("temperature")

    @property
    def reasoning_efforts(self) -> tuple[str, ...]:
        """The reasoning efforts that the gateway lists for coding clients; empty if it lists none."""
        variants = lenient_json.mapping((self.opencode or {}).get("variants")).values()
        settings = (lenient_json.mapping(lenient_json.mapping(variant).get("reasoning")) for variant in variants)
        efforts = (setting.get("effort") for setting in settings)
        return tuple(dict.fromkeys(effort for effort in efforts if isinstance(effort, str)))

    @property
    def supports_vision(self) -> bool | None:
        """True if a prompt may hold images."""
        return "image" in self.input_modalities if self.input_modalities else None

    def _takes(self, *parameters: str) -> bool | None:
        if not set(parameters).isdisjoint(self.supported_parameters or ()):
            return True
        if self.unsupported_parameters is not None:
            return False if parameters[0] in self.unsupported_parameters else None
        if not self.supported_parameters:
            return None
        # The list of an auto tier leaves out parameters that the models behind it take.
        return None if routing.tier_of(self.id) else False

    def _modalities(self, name: str) -> tuple[str, ...]:
        modalities = (self.architecture or {}).get(name)
        return tuple(kind for kind in modalities if isinstance(kind, str)) if isinstance(modalities, list) else ()

    def _per_million(self, name: str) -> Decimal | None:
        value = (self.pricing or {}).get(name)
        if lenient_json.number(value) is None:
            return None
        try:
            price = Decimal(str(value).strip()).scaleb(6)
            if price < 0:
                return None
            if price < _SMALLEST:
                return Decimal(0)  # `1e-900000` would be written with 900,000 zeros
            whole = price.as_tuple().exponent
            return price.quantize(Decimal(1)) if isinstance(whole, int) and whole > 0 else price
        except ArithmeticError:
            return None


def _without(entry: Mapping[str, Any], places: list[tuple[int | str, ...]]) -> dict[str, Any]:
    """Return a copy without the values at `places`; of a list, only the items at fault go."""
    kept = dict(entry)
    bad_items: dict[str, set[int | str]] = {}
    for place in places:
        key = str(place[0])
        if len(place) > 1 and isinstance(kept.get(key), list):
            bad_items.setdefault(key, set()).add(place[1])
        else:
            kept.pop(key, None)
    for key, bad in bad_items.items():
        if isinstance(items := kept.get(key), list):
            kept[key] = [item for index, item in enumerate(items) if index not in bad]
    return kept
