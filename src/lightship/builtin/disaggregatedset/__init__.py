"""DisaggregatedSet v1: roles of one service (prefill, decode, …), each a LeaderWorkerSet, that are updated in step with each other.

`planner` says how many groups the old and the new version of each role have next, `sync` what to do about it, `controller` does it.
Contract: DisaggregatedSet of LeaderWorkerSet 0.9.
"""
