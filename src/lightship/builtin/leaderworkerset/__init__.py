"""LeaderWorkerSet v1: groups of pods, each a leader with its workers, that start, restart and are updated as one.

`terms` names things, `rules` are defaults and validation, `pods` and `tpu` what every pod of a group is given at the door (`admission`),
`revisions`, `rollout`, `status` and `sync` decide about a set, `groups` about one group, `build` makes their children; the controllers
carry out. Contract: LeaderWorkerSet 0.9.
"""
