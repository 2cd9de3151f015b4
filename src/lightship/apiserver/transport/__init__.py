"""Bytes: HTTP/1.1 in both directions, TLS, and connections that become something else.

`connection` serves one client and `exchange` is what it and the fronts pass each other; `streaming` and `wire` are answers that go on and
connections that are handed over, `cargo` bounds the large bodies that lie in memory. `outbound` calls webhooks and other servers.
Knows no Kubernetes but the texts of Go's client. Called by `http`, `front` and whoever calls out. Contract: RFC 9110, RFC 9112.
"""
