"""batch/v1 Job: pods that run until enough of them have succeeded.

`indexes` reads and writes completed indexes, `podset` builds and sorts pods, `limits` says when to wait or give up, `sync` decides,
`controller` carries out. Contract: Kubernetes 1.36 kube-controller-manager, job controller.
"""
