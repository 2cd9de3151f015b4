"""Deployments: one ReplicaSet for each version of the template, and the pods moved from one to the next.

`revisions` knows versions, `strategy` the numbers of a rollout, `rolling` who is scaled, `progress` the status; `sync` puts them together.
"""
