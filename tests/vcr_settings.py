"""How cassettes are recorded and replayed: no secrets in them, and no port that changes from run to run."""

from typing import Any

RECORDED_FROM = "x-recorded-from"


def config(source: str) -> dict[str, Any]:
    """Return the settings for vcrpy; `source` is written into the first header of each recorded answer."""

    def label(response: dict[str, Any]) -> dict[str, Any]:
        kept = {k: v for k, v in response["headers"].items() if k.lower() in ("content-type", "request-id")}
        return {**response, "headers": {RECORDED_FROM: [source], **kept}}

    def anonymous(request: Any) -> Any:
        request.uri = f"http://gateway.invalid/api/gateway{request.path.partition('/gateway')[2]}"
        request.headers = {k: v for k, v in request.headers.items() if k.lower() in ("content-type", "x-kilocode-mode")}
        return request

    return {
        "match_on": ["method", "path", "body"],
        "before_record_request": anonymous,
        "before_record_response": label,
        "allow_playback_repeats": True,
        "decode_compressed_response": True,
    }
