"""The OpenAPI documents, version 3 for each group version and version 2 for all: made of what is served, when they are asked for.

`publishing` keeps them and answers; `document` puts one together from `paths` and `schemas`; `protobuf` is the form that old clients want.
Called by `documents`. Contract: kube-openapi; OpenAPI 3.0 and 2.0 with the `x-kubernetes-` extensions.
"""
