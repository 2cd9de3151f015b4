"""What an embedded control plane needs of kube-controller-manager: Job, JobSet, namespaces, garbage collection, endpoints and their kin.

`controllers.controllers(manager, ...)` is the door; each controller is a pure core and a thin reconciler. Clients of any Kubernetes API:
on a real cluster these controllers are not started, because the cluster has its own.
"""
