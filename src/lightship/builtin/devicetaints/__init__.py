"""Devices with taints: who uses one that he does not bear has to leave. `decide` says when, `controller` carries it out."""
