"""PodDisruptionBudgets: how many pods may be taken away now, for evictions to ask.

`budget` decides, `expecting` knows how many pods there should be, `controller` carries out; `stale` takes back what was announced to a pod
and did not happen.
"""
