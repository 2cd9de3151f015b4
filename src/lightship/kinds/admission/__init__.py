"""Configurations of admission: webhooks and policies. Who calls and judges by them is the server.

`resources` is the table of the group. Contract: admissionregistration.k8s.io/v1.
"""
