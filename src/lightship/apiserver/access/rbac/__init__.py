"""Role-based access control: who may do what, by the roles and bindings that the store holds.

`main` makes one `RoleAuthorizer` for the fronts; `server` adds `escalation`'s rules to admission and lets `bootstrap` write the default
roles. Rules themselves are pure (`rules`); the rest keeps them in step with the store.
Contract: rbac.authorization.k8s.io/v1; kube-apiserver 1.36, plugin/pkg/auth/authorizer/rbac.
"""
