"""batch/v1 Job: pods that run until enough of them have succeeded.

`indexes` reads and writes completed indexes, `podset` builds and sorts pods, `claims` says whose pods are whose, `limits` and `per_index`
say when to wait or give up, `ledger` keeps the books, `sync` decides, `controller` carries out.
Contract: Kubernetes 1.36 kube-controller-manager, job controller.
"""
