"""All scenarios: each module has a tuple of them, by theme."""

from . import access, custom, discovery, errors, life, patches, reading, subparts, wire

ALL = (
    *errors.SCENARIOS,
    *life.SCENARIOS,
    *patches.SCENARIOS,
    *reading.SCENARIOS,
    *subparts.SCENARIOS,
    *discovery.SCENARIOS,
    *access.SCENARIOS,
    *custom.SCENARIOS,
    *wire.SCENARIOS,
)
