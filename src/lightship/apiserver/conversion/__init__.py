"""Versions of one kind, and the way of an object from one to another.

`versions` knows the family of a kind (apiVersion alone, the two Event groups, webhooks), `webhook` asks somebody else, in batches.
Called by `served` when objects are read and written. Contract: apiextensions.k8s.io/v1 ConversionReview.
"""
