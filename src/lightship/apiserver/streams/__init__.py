"""Conversations that a request can grow into: exec, attach, port-forward, over WebSocket or SPDY/3.1, as clients speak them.

`websocket` and `spdy` are the two ways of framing (pure), `wire` a connection that has been handed over, `channels` the numbered streams
of a command whichever way they travel. Knows no node and no pod: `sessions` brings the two together.
Contract: RFC 6455; SPDY/3.1; Kubernetes remotecommand and portforward protocols (KEP-4006).
"""
