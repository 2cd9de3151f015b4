"""ResourceClaims around pods: made from templates, reserved, let go of when nobody uses them. `decide` is the pure core.

Contract: kube-controller-manager 1.36 pkg/controller/resourceclaim. Allocating them is the scheduler's business.
"""
