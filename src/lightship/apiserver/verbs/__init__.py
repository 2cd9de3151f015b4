"""What can be done to stored objects: create, update, patch, apply, delete, get, list, watch.

`registry` calls a module for each: `writing`, `patching`, `applying`, `deletion`, `listing`, `watching`; beside them is what they share,
such as who owns which fields (`managed`) and the rounds of mutating admission (`rounds`).
Knows neither HTTP nor who may. Contract: Kubernetes API concepts; k8s.io/apiserver pkg/registry/generic and pkg/endpoints/handlers.
"""
