"""Requests that are answered by somebody else: pods and services behind `/proxy`, and API servers behind APIServices.

`forwarding` carries one request there and its answer back, whatever it is; `places` finds pods and services; `aggregation` knows the API
groups that other servers have. Contract: core/v1 PodProxyOptions, ServiceProxyOptions; apiregistration.k8s.io/v1; kube-aggregator.
"""
