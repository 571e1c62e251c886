"""The checks, in a file for each subject; all of them in the order in which they run."""

from __future__ import annotations

from typing import Final

from kilo_gateway.verify.check import Check
from kilo_gateway.verify.checks import (
    answers,
    auto_models,
    credentials,
    embeddings,
    endpoints,
    errors,
    interfaces,
    models,
    requests,
    streams,
)

CHECKS: Final[tuple[Check, ...]] = tuple(
    check
    for module in (
        *(endpoints, credentials, requests, errors, models, answers, streams),
        *(auto_models, embeddings, interfaces),
    )
    for check in module.GROUP.checks
)
