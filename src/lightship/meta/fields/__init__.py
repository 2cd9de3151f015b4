"""Managed fields: sets of fields, which fields a value has, what changed between two, and who owns what.

`sets` and `codec` are FieldsV1; `types` tells from a schema how maps and lists are owned; `extents`, `comparing`, `merging`, `removing`,
`checking` and `reconciling` walk objects by types; `filters` say what a write can change; `ownership` is what an update does to
managedFields, `application` what an apply does.
Pure, and fast where every write passes: `apiserver.managed` and `apiserver.applying` call it. Knows no kind and no server.
Contract: structured-merge-diff v6, apimachinery pkg/util/managedfields.
"""
