"""Send the requests of the checks: plain HTTP, with a limit on the cost and without secrets in what is shown."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import openai

from kilo_gateway.budget import Cost, Holder, KiloBudget
from kilo_gateway.encoding.printable import printable
from kilo_gateway.models import prices
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.transport import clients, keys
from kilo_gateway.transport.openai_compat import USER_AGENT
from kilo_gateway.verify.answer import Answer, Json, dicts
from kilo_gateway.verify.findings import ALL, Differs, Era, Undecided

NO_SUCH_MODEL: Final = "kilo-gateway/verify-asks-for-no-model"
"""Unknown ids are refused after the credentials were looked at, and cost nothing (docs/gateway.md, "Credentials")."""
HELLO: Final = "Say hello in one word."
TOKENS: Final = 64
"""The output limit of most requests: providers refuse very small ones (docs/gateway.md, "Requests")."""
SHOWN: Final = 200
"""Characters that a finding shows."""
_READ_SECONDS: Final = 60.0
_WHOLE_SECONDS: Final = 180.0
_MOST_BYTES: Final = 20_000_000
_FREE: Final = "kilo-auto/free"


@dataclass
class Gateway:
    """The server under test and the account. One object serves one run; equal requests of a run are sent once."""

    settings: GatewaySettings
    budget: KiloBudget
    eras: Era = ALL
    """The eras in which the question of the check makes sense that runs now."""
    at_most: float = 0.0
    """The most that the check costs, in USD."""
    notes: list[str] = field(default_factory=list)
    """The texts that describe what the check has found."""
    last: Answer | None = None
    """The last answer that the check has got."""
    usd: float = 0.0
    """The cost of the check so far, in USD."""
    _answers: dict[object, Answer] = field(default_factory=dict)

    @cached_property
    def key(self) -> str | None:
        """The key of the account."""
        bearer = self.settings.bearer
        return keys.key_of(bearer) if isinstance(bearer, KeyFunction) else bearer

    @property
    def organization(self) -> str | None:
        """The organisation that pays."""
        secret = self.settings.organization_id
        return secret.get_secret_value() if secret else None

    def shown(self, text: object) -> str:
        """Return a text that may be shown: without secrets, on one line, and not too long."""
        hidden = str(text)
        for secret in filter(None, (self.key, self.organization)):
            hidden = re.sub(re.escape(secret), "HIDDEN", hidden, flags=re.IGNORECASE)
        return printable(" ".join(hidden.split()), SHOWN, lines=False)

    def begin(self, eras: Era, at_most: float) -> None:
        """Begin a check, and forget what the one before has found."""
        self.eras, self.at_most, self.notes, self.last, self.usd = eras, at_most, [], None, 0.0

    def note(self, text: object) -> None:
        """Add a text to what the check has found."""
        self.notes.append(str(text))

    # Requests.

    def get(self, path: str, *, key: bool = False, headers: Mapping[str, str] | None = None) -> Answer:
        """Return the answer to a GET."""
        return self._exchange("GET", path, b"", key=key, headers=headers or {}, again=False)

    def post(
        self,
        path: str,
        body: Json | bytes,
        *,
        key: bool = False,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> Answer:
        """Return the answer to a POST, with the account if `key` is True; `again` sends it even if it was sent before.

        A path that this server's era does not know makes the check undecided.
        """
        content = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        answer = self._exchange("POST", path, content, key=key, headers=headers or {}, again=again)
        if answer.is_invalid_path and Era.E1 not in self.eras and answer.error_type is None:
            raise Undecided(f"this server does not serve {path}, as E1 did not", expected=True)
        return answer

    def chat(self, *, model: str | None = None, key: bool = False, again: bool = False, **more: Any) -> Answer:
        """Ask on Chat Completions, by default a free model; `more` are fields of the body, and `headers`."""
        headers = more.pop("headers", None)
        messages = [{"role": "user", "content": HELLO}]
        body = {"model": model or self.free_model, "messages": messages, "max_tokens": TOKENS, **more}
        return self.post("/chat/completions", body, key=key, headers=headers, again=again)

    def responses(self, *, model: str | None = None, key: bool = False, **more: Any) -> Answer:
        """Ask on Responses."""
        body = {"model": model or self.free_model, "input": HELLO, "max_output_tokens": TOKENS, **more}
        return self.post("/responses", body, key=key)

    def messages(self, *, model: str | None = None, key: bool = False, **more: Any) -> Answer:
        """Ask on Messages."""
        messages = [{"role": "user", "content": HELLO}]
        body = {"model": model or self.free_model, "messages": messages, "max_tokens": TOKENS, **more}
        return self.post("/messages", body, key=key)

    def unknown(
        self, path: str = "/chat/completions", *, key: bool = False, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Ask for a model that does not exist, which shows how the gateway sees the caller, and costs nothing."""
        messages = [{"role": "user", "content": HELLO}]
        body = {"model": NO_SUCH_MODEL, "max_tokens": TOKENS}
        conversation = {"input": HELLO} if path == "/responses" else {"messages": messages}
        return self.post(path, {**body, **conversation}, key=key, headers=headers)

    # Models.

    def listed(self, *, key: bool = False) -> list[Json]:
        """Return the entries of the list of models. Raises Differs if there are none."""
        entries = [item for item in dicts(self.get("/models", key=key).body.get("data")) if item.get("id")]
        if not entries:
            raise Differs("the list of models is empty or is not a list")
        return entries

    @property
    def ids(self) -> set[str]:
        """The ids of the list of models."""
        return {str(item["id"]) for item in self.listed()}

    @property
    def free_model(self) -> str:
        """The free tier, or a free model of a server that does not have it."""
        ids = self.ids
        free = sorted(name for name in ids if name == "openrouter/free" or name.endswith(":free"))
        if not (names := [_FREE] if _FREE in ids else free):
            raise Undecided("the list of models has no free model at present")
        return names[0]

    def tier(self, name: str) -> str:
        """Return the id of an auto tier. Raises Undecided if the server does not have it."""
        ids = self.ids
        if (tier := f"kilo-auto/{name}") in ids:
            return tier
        if name == "frontier" and "kilo/auto" in ids:
            return "kilo/auto"
        raise Undecided(f"the list of models does not have {tier}", expected="kilo/auto" in ids)

    def cheapest(self, vendor: str) -> str:
        """Return the paid model of a vendor that costs least, by the list of models, with tools and reasoning."""
        found = {}
        for item in self.listed():
            hints, price, parameters = item.get("opencode"), item.get("pricing"), item.get("supported_parameters")
            own = isinstance(hints, dict) and hints.get("ai_sdk_provider") == vendor
            if own and str(item["id"]).startswith(f"{vendor}/") and {"tools", "reasoning"} <= set(parameters or ()):
                with suppress(TypeError, ValueError):
                    found[float(price["completion"] if isinstance(price, dict) else "nan")] = str(item["id"])
        found = {price: name for price, name in found.items() if price > 0}
        if not found:
            raise Undecided(f"the list of models has no paid model of {vendor} with tools and reasoning")
        return found[min(found)]

    # One exchange.

    def _exchange(
        self, method: str, path: str, content: bytes, *, key: bool, headers: Mapping[str, str], again: bool
    ) -> Answer:
        account = self._account() if key else {}
        sent = {**account, **headers}
        same = (method, path, content, tuple(sorted(sent.items())))
        if same in self._answers and not again:
            self.last = self._answers[same]
            return self.last
        paying = any(self.key and self.key in value for value in sent.values())
        if method == "POST" and paying:
            answer = self._paid(method, path, content, sent)
        else:
            answer = self._sent(method, path, content, sent)
        self._answers[same] = self.last = answer
        return answer

    def _account(self) -> dict[str, str]:
        payer = {"X-KiloCode-OrganizationId": self.organization} if self.organization else {}
        return {"Authorization": f"Bearer {self.key}", **payer}

    def _paid(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a request that may cost something, if the budget has room for the most that it may cost."""
        at_most = self._at_most(content)
        call = object()
        verdict = self.budget.reserve(call, at_most, Holder(threading.get_ident()), lambda: None)
        if verdict != "granted":
            left = f"{self.budget.left_usd:.4f} of {self.budget.limit_usd:g} USD are left"
            raise Undecided(f"{left}, and this request may cost {at_most:.4f}", expected=True)
        cost: Cost | None = Cost(at_most, estimated=True)
        try:
            answer = self._sent(method, path, content, headers)
            if answer.status >= 400:
                cost = None
            elif (reported := answer.cost) is not None:
                cost = Cost(reported)
        finally:
            self.budget.settle(call, cost)
            self.usd += (cost.usd or 0.0) if cost else 0.0
        return answer

    def _at_most(self, content: bytes) -> float:
        """Return the most that a request may cost, in USD: by the list of models, else as the check declares it."""
        with suppress(ValueError, AttributeError):
            body = json.loads(content)
            answer = body.get("max_tokens", body.get("max_output_tokens"))
            size = prices.Size(len(content) * prices.TOKENS_PER_BYTE + prices.TOKENS_PER_REQUEST, answer)
            listed = prices.at_most(str(body.get("model")), size, base_url=self.settings.base_url)
            if listed is not None:
                return listed
        return self.at_most

    def _sent(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        named = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": USER_AGENT}
        if method == "POST":
            named["Content-Type"] = "application/json"
        url = path if "://" in path else self.settings.base_url + path
        request = self._http.build_request(
            method, url, content=content or None, headers={**named, **headers}, timeout=_READ_SECONDS
        )
        started, body = time.monotonic(), bytearray()
        response = self._http.send(request, stream=True, follow_redirects=False)
        try:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > _MOST_BYTES or time.monotonic() - started > _WHOLE_SECONDS:
                    raise Undecided(f"the answer to {path} did not end within {_WHOLE_SECONDS:.0f} s or 20 MB")
        finally:
            response.close()
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(body))

    @cached_property
    def _http(self) -> Any:
        own = self.settings.http_client
        if own is not None:
            return own.value
        return openai.DefaultHttpxClient(**clients.http_arguments(clients.Account.of(self.settings).network))

    def close(self) -> None:
        """Close the connections of a client of its own."""
        if self.settings.http_client is None and "_http" in self.__dict__:
            self._http.close()
