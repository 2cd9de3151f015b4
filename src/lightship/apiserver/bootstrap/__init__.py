"""What is in every cluster from its first start on.

`objects` has namespaces, priority classes and the definitions of capabilities, `roles` the default roles and bindings,
`kubernetes_service` the Service by which pods find the API. Called by `server` when it starts. Contract: kube-apiserver 1.36.
"""
