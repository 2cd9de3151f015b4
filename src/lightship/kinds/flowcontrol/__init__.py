"""Flow schemas and priority levels, and those that every server starts with (`objects`). Who goes by them is the server.

`resources` is the table of the group. Contract: flowcontrol.apiserver.k8s.io/v1.
"""
