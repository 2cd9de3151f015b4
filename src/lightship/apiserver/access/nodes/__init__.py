"""What nodes may do: `authorizer` lets them see what their pods need, by the `graph` of what belongs to which pod.

That they change only what is theirs is `admission.node_restriction`'s business. Contract: kube-apiserver --authorization-mode=Node.
"""
