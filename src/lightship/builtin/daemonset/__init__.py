"""DaemonSets: one pod on every node that suits.

`places` knows which nodes suit and what a pod for one looks like, `manage` who is missing or too much, `rollout` who is replaced in an
update; `sync` puts them together, `controller` carries out.
"""
