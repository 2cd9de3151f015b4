"""Kinds that make pods, and kinds that watch over them: the groups apps, batch, autoscaling and policy.

`apps`, `batch`, `autoscaling` and `policy` are the tables of their groups; beside them are the rules of each kind. Templates of pods are
judged by `pods`. Contract: apps/v1, batch/v1, autoscaling/v2 and v1, policy/v1.
"""
