"""Test that the secrets of a request are hidden wherever they appear, and nothing else is."""

import pytest

from kilo_gateway.sandbox.gateway.masking import HIDDEN, Mask

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJraWxvVXNlcklkIjoiMSJ9.c2lnbmF0dXJlLW9mLXRva2Vu"
HEADERS = {
    "authorization": "Bearer key-of-the-caller",
    "x-api-key": "another-key-of-the-caller",
    "cookie": "session=cookie-of-the-caller; theme=dark",
    "x-kilocode-organizationid": "3f6c2f0e-8a57-4f0c-9a3b-5d1c7e2b9a40",
    "x-team-password": "pass phrase",
    "x-kilocode-mode": "plan",
    "content-type": "application/json",
}
SECRETS = ["key-of-the-caller", "another-key-of-the-caller", "cookie-of-the-caller", "pass phrase"]


def test_values_of_known_headers_are_shown_and_all_others_hidden() -> None:
    shown = dict(Mask.of(HEADERS).headers(HEADERS.items()))
    kept = {"x-kilocode-mode": "plan", "content-type": "application/json"}
    assert shown == dict.fromkeys(HEADERS, HIDDEN) | kept


@pytest.mark.parametrize("secret", [*SECRETS, HEADERS["x-kilocode-organizationid"]])
def test_a_secret_is_hidden_in_texts_bytes_and_names_of_fields(secret: str) -> None:
    mask = Mask.of(HEADERS)
    assert mask.text(f"You sent {secret}.") == f"You sent {HIDDEN}."
    assert mask.data(f"You sent {secret}.".encode()) == f"You sent {HIDDEN}.".encode()
    assert mask.json({secret: [f"<{secret}>", 1, None, True]}) == {HIDDEN: [f"<{HIDDEN}>", 1, None, True]}


def test_other_spellings_of_a_secret_are_hidden() -> None:
    mask = Mask.of({"authorization": 'Bearer a"b/c+d&e'})
    assert mask.text('{"sent":"a\\"b/c+d&e"}') == f'{{"sent":"{HIDDEN}"}}'
    assert mask.text("?q=a%22b%2Fc%2Bd%26e") == f"?q={HIDDEN}"


def test_keys_of_the_query_are_secrets() -> None:
    mask = Mask.of({}, "api_key=key%2Dof-the-url&page=2")
    assert mask.text("api_key=key%2Dof-the-url&page=2") == f"api_key={HIDDEN}&page=2"
    assert mask.text("The key key-of-the-url is wrong.") == f"The key {HIDDEN} is wrong."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {TOKEN} expired", f"token {HIDDEN} expired"),
        ("https://user:word@host.example/a", f"https://{HIDDEN}@host.example/a"),
        ("https://host.example/a.png?X-Signature=abc&w=1", f"https://host.example/a.png?X-Signature={HIDDEN}&w=1"),
        ("Which key opens a=b? The monkey's.", "Which key opens a=b? The monkey's."),
    ],
)
def test_what_looks_like_a_key_is_hidden_without_headers(text: str, shown: str) -> None:
    assert Mask.of({}).text(text) == shown


def test_words_that_are_not_secret_stay() -> None:
    mask = Mask.of({"authorization": "Bearer anonymous", "x-team": "a"})
    assert mask.text("an anonymous caller") == "an anonymous caller"


def test_the_secrets_do_not_appear_in_a_repr() -> None:
    assert "key-of-the-caller" not in repr(Mask.of(HEADERS))
