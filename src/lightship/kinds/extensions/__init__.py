"""CustomResourceDefinitions: what may be written into one, and in which form it is kept.

`resources` is the table of the group; `crd` has the defaults and the order of judgment, `schemas` and `structural` judge the schemas
inside. What becomes of a definition is the server's business. Contract: apiextensions.k8s.io/v1.
"""
