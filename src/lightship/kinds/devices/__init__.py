"""Devices: classes, claims, templates of claims, and slices of what drivers have.

`resources` is the table of the group; `selectors` compiles CEL and is loaded when the first selector comes. Contract: resource.k8s.io/v1.
"""
