"""Define the parts of an answer's body: bytes, pauses and the dropped connection."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Silence for some seconds; it ends early if the client leaves or the sandbox stops."""

    seconds: float


class Drop:
    """The place in a body at which the server closes the socket."""


HOLD = Pause(math.inf)
DROP = Drop()

Part = bytes | Pause | Drop
