"""The gateway's list of models as a collection."""

from __future__ import annotations

from kilo_gateway.known_models import known as known
