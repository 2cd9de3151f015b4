"""Services, endpoints, ingresses, network policies, and the addresses of clusters.

`resources` and `discovery` are the tables of their groups; `services` has the rules of Services, `address_ranges` counts addresses. Who
gives addresses out is the server's business. Contract: core/v1 Service; networking.k8s.io/v1, discovery.k8s.io/v1.
"""
