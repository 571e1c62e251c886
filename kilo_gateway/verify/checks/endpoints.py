"""Check the paths. See docs/gateway.md, "Endpoints"."""

from __future__ import annotations

from kilo_gateway.verify.answer import Answer, dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import SINCE_E2, Differs, Era, Undecided
from kilo_gateway.verify.gateway import Gateway

GROUP = Group("endpoints", "Endpoints")


def _served(gateway: Gateway, *paths: str) -> Era:
    """Return the eras of a server that has, or lacks, paths of E2: a body without a model shows that it is read."""
    answers = {path: gateway.post(path, {}) for path in paths}
    missing = [path for path, answer in answers.items() if answer.is_invalid_path]
    if len(missing) == len(paths):
        return Era.E1
    if missing:
        raise Differs(f"{', '.join(missing)}: {answers[missing[0]]}")
    eras = SINCE_E2
    for answer in answers.values():
        eras &= answer.refused(404, "model_not_found")
    return eras


@GROUP.add()
def chat_completions(gateway: Gateway) -> Era:
    """`POST /chat/completions` is served."""
    return gateway.post("/chat/completions", {}).refused(404, "model_not_found")


@GROUP.add()
def responses(gateway: Gateway) -> Era:
    """`POST /responses` is served since E2."""
    return _served(gateway, "/responses")


@GROUP.add()
def messages(gateway: Gateway) -> Era:
    """`POST /messages` is served since E2."""
    return _served(gateway, "/messages")


@GROUP.add()
def v1(gateway: Gateway) -> Era:
    """The three interfaces are also served below `/v1` since E2."""
    return _served(gateway, "/v1/chat/completions", "/v1/responses", "/v1/messages")


@GROUP.add()
def openrouter(gateway: Gateway) -> Era:
    """`/api/openrouter` is a twin of `/api/gateway`."""
    base = gateway.settings.base_url
    if not base.endswith("/api/gateway"):
        raise Undecided("the base URL does not end in /api/gateway", expected=True)
    return gateway.post(base.removesuffix("gateway") + "openrouter/chat/completions", {}).refused(
        404, "model_not_found"
    )


@GROUP.add()
def other_path(gateway: Gateway) -> Era:
    """Any other POST path, such as `/completions`, returns 400 `invalid_path`."""
    return gateway.post("/completions", {}).refused(400, "invalid_path")


@GROUP.add()
def trailing_slash(gateway: Gateway) -> Era:
    """A path with a trailing slash is another path: 400 `invalid_path`."""
    return gateway.post("/chat/completions/", {}).refused(400, "invalid_path")


@GROUP.add()
def embeddings_v1(gateway: Gateway) -> Era:
    """`/v1/embeddings` is not an alias of `/embeddings`: 400 `invalid_path`."""
    return gateway.post("/v1/embeddings", {}).refused(400, "invalid_path")


@GROUP.add()
def get(gateway: Gateway) -> None:
    """GET on an interface returns 405 with an empty body."""
    answer = gateway.get("/chat/completions")
    if answer.status != 405 or answer.content:
        raise Differs(f"{answer} instead of 405 with an empty body")


@GROUP.add()
def v1_models(gateway: Gateway) -> Era:
    """`GET /v1/models` returns the list of models since E2."""
    answer = gateway.get("/v1/models")
    if answer.status in (404, 405):
        return Era.E1
    _list(answer)
    return SINCE_E2


def _list(answer: Answer) -> list[dict[str, object]]:
    items = list(dicts(answer.body.get("data")))
    if answer.status != 200 or not items:
        raise Differs(f"{answer} instead of a list")
    return items
