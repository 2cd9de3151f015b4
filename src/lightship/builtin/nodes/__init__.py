"""Nodes that fall silent or have trouble: their conditions and taints, and the pods that have to leave for these.

`taints`, `zones` and `leaving` decide, `lifecycle` and `eviction` carry out. `caching` tells nodes how long they may keep things.
"""
