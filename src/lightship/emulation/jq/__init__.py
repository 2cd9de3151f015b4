"""The parts of jq that people use in Stages: paths, pipes, `select`, comparisons, arithmetic and the common functions.

`compile(text)` gives a `Query`; what is not known here is refused with its name when it is compiled, never silently at work.
Contract: the jq manual, as gojq 0.12 reads it (`.a.[]` is `.a[]`).
"""

from lightship.emulation.jq.program import Query, compile  # noqa: A004 - it is the verb
from lightship.emulation.jq.values import JqError

__all__ = ["JqError", "Query", "compile"]
