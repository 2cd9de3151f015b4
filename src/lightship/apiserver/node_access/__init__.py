"""What nodes may do: `authorizer` lets them see what their pods need, `restriction` keeps them from changing what is not theirs.

Contract: kube-apiserver --authorization-mode=Node and the admission plugin NodeRestriction.
"""
