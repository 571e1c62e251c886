"""Record the data-policy notices that a call issues."""

import warnings
from collections.abc import Callable

from kilo_gateway import KiloDataPolicyWarning


def issued(act: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    assert {warning.category for warning in caught} <= {KiloDataPolicyWarning}
    return [str(warning.message) for warning in caught]
