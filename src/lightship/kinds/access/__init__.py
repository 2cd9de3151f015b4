"""Kinds of identity and permission: roles and bindings, certificate signing requests, reviews.

What a rule means, who signs and who answers is the server's business; here only: is it one at all?
Contract: rbac.authorization.k8s.io/v1, certificates.k8s.io/v1, authentication.k8s.io/v1, authorization.k8s.io/v1.
"""
