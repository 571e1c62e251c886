"""Check whether a gateway does what docs/gateway.md says: one small request, or a few, for each fact.

report = verify(free=True)  # no key, nothing is spent
print(report.behaviour)
print(report)  # a text without secrets, to attach to an issue
"""

from kilo_gateway.verify.check import Check
from kilo_gateway.verify.findings import Era
from kilo_gateway.verify.report import Report, Result
from kilo_gateway.verify.run import list_checks, verify

__all__ = ["Check", "Era", "Report", "Result", "list_checks", "verify"]
