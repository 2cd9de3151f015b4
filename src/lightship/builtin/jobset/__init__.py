"""JobSet v1alpha2: several replicated Jobs that start, fail, restart and succeed as one.

`terms` names things, `gates` say what is on. `admission` asks `defaults`, `rules` (with `policy_rules`, `volume_rules`), `changes` and
`placement` before a JobSet or one of its pods is stored. `sync` decides on a `draft` of the status, with `statuses`, `startup`, `policies`,
`elastic` and `inplace`; `children` and `volumes` build what is made; `controller` carries out. Contract: JobSet 0.12.
"""
