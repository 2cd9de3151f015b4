"""Reviews: questions about identity and permission that are asked by creating an object, and answered at once.

`answering` is called by `registry` and `front`; `checks` says whether a question is one. Nothing of it is stored.
Contract: authentication.k8s.io/v1, authorization.k8s.io/v1.
"""
