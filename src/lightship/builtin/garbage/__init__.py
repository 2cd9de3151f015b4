"""Garbage collection: what is owned goes when its owners go, by uid, over all kinds.

`decide` is the pure rule, `controller` knows where owners and dependents are found and carries the decisions out.
Contract: metav1.OwnerReference, propagation policies Background, Foreground and Orphan.
"""
