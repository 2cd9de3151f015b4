"""Subresources that are no view of the object itself: scale, binding, eviction, tokens, logs.

`asking` is called by `registry` and calls the others; `admitting` is admission for requests that write no object of their own, and
`whereabouts` finds the container that is meant and the way to its node.
Contract: autoscaling/v1 Scale, core/v1 Binding, policy/v1 Eviction, authentication/v1 TokenRequest, PodLogOptions.
"""
