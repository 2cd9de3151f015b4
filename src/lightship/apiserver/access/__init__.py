"""Who asks, and may he: identities, tokens, certificates, impersonation, and the decisions about them.

`identity` finds out who somebody is (`authn` has the values, `tokens`, `bootstrap_tokens` and `client_certificates` the proofs), `authz` is
the seam of decisions; `rbac` decides by roles, `nodes` by what runs on a node. `pki` makes keys and certificates.
Knows neither verbs nor the store's objects. Contract: Kubernetes API concepts, "controlling access to the API".
"""
