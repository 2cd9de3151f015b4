"""The API server: a Kubernetes API on the store, for in-process callers and over HTTP.

`main` builds a `server.Server` and opens fronts on it: `Server.local` and `http.serve`. `registry` has the operations. Only `main` may
import this room; everybody else is a client.
"""
