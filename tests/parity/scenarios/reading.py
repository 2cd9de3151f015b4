"""Later."""

SCENARIOS = ()
