"""JobSet v1alpha2: several replicated Jobs that start, fail, restart and succeed as one.

`terms` names things, `rules` are defaults and validation, `children` builds Jobs and the Service, `policies` and `sync` decide,
`controller` carries out. Contract: JobSet 0.12 with its default feature gates.
"""
