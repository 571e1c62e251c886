"""The vocabulary of an answer's body: bytes, pauses and the dropped connection."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Silence for some seconds, or until the client leaves or the sandbox stops."""

    seconds: float


class Drop:
    """The socket closes here, in the middle of the body."""


HOLD = Pause(math.inf)
DROP = Drop()

Part = bytes | Pause | Drop
