"""The fields that every Kilo class shares: the gateway, the account and the connection. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from kilo_gateway.budget import KiloBudget
from kilo_gateway.settings import names, places, types
from kilo_gateway.settings.http_client import Live
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.settings.places import InBody, InHeader, PerCall
from kilo_gateway.settings.signature import FieldSignature
from kilo_gateway.settings.validation import check_field, fields_from, known_names


class AccountSettings(BaseModel):
    """Account, connection and labels. Nothing is sent for a field that is None.

    Bad values raise `pydantic.ValidationError` (a ValueError) that names the field and the remedy;
    so do unknown names, with the nearest known one.
    """

    model_config = ConfigDict(
        # Inputs may be secrets; the validators show the values that are not.
        hide_input_in_errors=True,
        validate_default=True,
        protected_namespaces=(),
        arbitrary_types_allowed=True,
        # Base classes are never validated themselves, so their validators are not built.
        defer_build=True,
    )

    call_keywords: ClassVar[frozenset[str]] = frozenset()
    """Names that are keywords of a call and not arguments of the constructor."""

    api_key: Annotated[types.Key, InHeader("Authorization", secret=True, by_client=True)] = Field(
        default_factory=types.SecretFromEnv("KILO_API_KEY"), repr=False, exclude=True
    )
    """Key of the gateway, or a function (sync or async) that returns it and is called for each attempt; default
    `KILO_API_KEY`. None, "", "public" and "anonymous" mean no account."""
    base_url: types.BaseUrl = Field(default_factory=types.base_url_from_env)
    """Gateway URL; default `KILO_BASE_URL`, then `KILO_API_URL` + /api/gateway, then the public gateway."""
    allow_insecure: bool = False
    """True if a key may be sent over plain http to another machine."""
    organization_id: Annotated[types.Organization, InHeader("X-KiloCode-OrganizationId", secret=True)] = Field(
        default_factory=types.SecretFromEnv("KILO_ORG_ID"), repr=False, exclude=True
    )
    """UUID of the organisation that pays; default `KILO_ORG_ID`."""
    project_id: Annotated[types.ProjectId | None, InHeader("X-KiloCode-ProjectId")] = None
    """Project label for the gateway's statistics."""
    feature: Annotated[types.Feature | None, InHeader("x-kilocode-feature")] = None
    """Product name for the gateway's statistics; without it, the gateway reports calls as `direct-gateway`."""
    provider: Annotated[dict[str, Any] | None, InBody()] = None
    """Routing preferences (`order`, `only`, `ignore`, `sort`, `data_collection`, `zdr`); merged deeply per call."""
    data_collection: Annotated[Literal["allow", "deny"] | None, PerCall()] = None
    """"deny" makes the gateway refuse models that store or train on prompts; sent as part of `provider`."""
    acknowledge_data_policy: bool = False
    """Set to True to silence KiloDataPolicyWarning."""
    budget: KiloBudget | None = Field(default=None, repr=False, exclude=True)
    """A limit on the cost of requests; several objects may share one."""
    default_headers: types.Headers | None = Field(default=None, repr=False, exclude=True)
    """HTTP headers of each request; their values do not show. Headers that have a field are refused."""
    default_query: dict[str, Any] | None = Field(default=None, repr=False, exclude=True)
    """Query parameters of each request; HTTP libraries log URLs, so put no secret here."""
    timeout: Annotated[types.Timeout | None, PerCall()] = None
    """Seconds to wait for the connection and for each read; None: 600, and 5 to connect."""
    total_timeout: Annotated[types.Seconds | None, PerCall()] = None
    """Seconds for the whole answer, retries and the waits between them included; None: no limit."""
    max_retries: Annotated[types.MaxRetries, PerCall()] = 2
    """Retries of the openai client, before the first byte of an answer only."""
    max_retry_wait: Annotated[types.Seconds | None, PerCall()] = None
    """Seconds that a retry may wait because the gateway asks for it (`Retry-After`); a longer wait is the error at
    once, with its `retry_after`. None: up to 120, the openai client's own limit."""
    max_response_bytes: types.ResponseBytes = 256_000_000
    """Upper limit of the size of an answer that is not streamed, in bytes, decompressed."""
    transport: Literal["aiohttp", "httpx"] | None = None
    """The HTTP library of async calls; None: aiohttp where it is installed, which costs half as much, else httpx."""
    http_client: Annotated[Any, BeforeValidator(Live.sync_client)] = Field(default=None, repr=False, exclude=True)
    """An `httpx.Client` or `httpx2.Client` to use instead of the shared pool."""
    http_async_client: Annotated[Any, BeforeValidator(Live.async_client)] = Field(
        default=None, repr=False, exclude=True
    )
    """The same for async calls."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        cls.__signature__ = FieldSignature()  # type: ignore[assignment] # a descriptor, as pydantic's own one

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        super().__pydantic_on_complete__()
        cls.__signature__ = FieldSignature()  # type: ignore[assignment] # pydantic has put its own one in its place

    @model_validator(mode="before")
    @classmethod
    def _known_names_only(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = cls._translated(values)
        known = known_names(cls)
        renamed: dict[str, Any] = {}
        for name, value in values.items():
            target = names.ALIASES.get(name, name)
            if value is None and target in known and _comes_from_environment(cls, target):
                continue
            if target not in known:
                raise ValueError(
                    f"{cls.__name__} has no argument {name!r}; {names.hint(name, known, cls.call_keywords)}"
                )
            if target in renamed and renamed[target] != value:
                raise ValueError(f"{name!r} is another name of {target!r}, which is given too: give one of them")
            renamed[target] = value
        return renamed

    @classmethod
    def _translated(cls, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return arguments, those of other packages translated that mean a value of a field here."""
        return arguments

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        types.check_key_travels_safely(self.base_url, keyed=self.bearer is not None, allowed=self.allow_insecure)
        types.check_data_collection(self.data_collection, self.provider)
        refuse_headers_of_fields(type(self), self.default_headers, "default_headers")
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name in fields_from(AccountSettings, type(self)):
            value = check_field(type(self), name, value)
            self._check_beside_others(name, value)
        elif _is_unknown(type(self), name):
            known = known_names(type(self))
            raise ValueError(
                f"{type(self).__name__} has no field {name!r}; {names.hint(name, known, self.call_keywords)}"
            )
        super().__setattr__(name, value)

    def _check_beside_others(self, name: str, value: Any) -> None:
        """Raise ValueError if `value` contradicts another field."""
        if name in ("data_collection", "provider"):
            beside = {"data_collection": self.data_collection, "provider": self.provider, name: value}
            types.check_data_collection(**beside)
        if name == "default_headers":
            refuse_headers_of_fields(type(self), value, name)

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        """Yield the arguments that were given, without secrets, those of the framework and what names the model."""
        if self.base_url != types.DEFAULT_BASE_URL:
            yield "base_url", self.base_url
        ours = fields_from(AccountSettings, type(self)) - {"model", "tier", "base_url"}
        for name, field in type(self).model_fields.items():
            if name in ours and name in self.model_fields_set and field.repr and getattr(self, name) is not None:
                yield name, getattr(self, name)

    @property
    def bearer(self) -> str | KeyFunction | None:
        """The key to send or the function that returns it; None for an anonymous request, which carries no
        Authorization header."""
        if isinstance(self.api_key, KeyFunction):
            return self.api_key
        key = self.api_key.get_secret_value() if self.api_key else ""
        return None if key in types.NO_KEY else key

    def preferences(self) -> dict[str, Any] | None:
        """The routing preferences to send, with `data_collection`, or None."""
        if self.data_collection is None:
            return self.provider
        return {"data_collection": self.data_collection, **(self.provider or {})}

    def label_headers(self) -> dict[str, str]:
        """The headers that label or route a request."""
        values = {header.name: getattr(self, field) for field, header in places.labels(type(self)).items()}
        return {name: value for name, value in values.items() if value}

    def private_headers(self) -> dict[str, str]:
        """The headers that may hold secrets; they stay in the client and out of any log of a request."""
        headers: dict[str, str] = types.revealed(self.default_headers or {})
        for field, header in places.headers(type(self)).items():
            if header.secret and not header.by_client and (secret := getattr(self, field)):
                headers[header.name] = secret.get_secret_value()
        return headers


def refuse_headers_of_fields(cls: type[AccountSettings], headers: Mapping[str, Any] | None, name: str) -> None:
    """Raise ValueError if `headers`, the value of `name`, contain one that has a field of its own."""
    for header in headers or ():
        if field := places.field_of_header(cls).get(header.lower()):
            raise ValueError(f"{name} must not contain {header}; pass it as {field}")


def _is_unknown(cls: type[AccountSettings], name: str) -> bool:
    """Return True if no object of `cls` can have an attribute of this name."""
    named = name.startswith("_") or name in cls.model_fields or hasattr(cls, name)
    return not named and cls.model_config.get("extra") != "allow"


def _comes_from_environment(cls: type[AccountSettings], name: str) -> bool:
    """Return True for a field whose default is read from the environment, so that None means "the default"."""
    return name in AccountSettings.model_fields and cls.model_fields[name].default_factory is not None
