"""Dynamic resource allocation: which devices a pod's ResourceClaims get on which node, by upstream's structured parameters.

`desk.Desk` is what `plan` asks for each pod; it and all below it are pure. `office.Office` is the thin shell that reads caches and writes
allocations and reservations; `controller` owns one. Contract: resource.k8s.io/v1, kube-scheduler 1.36's DynamicResources plugin.
"""
