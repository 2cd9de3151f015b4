"""The library `jsonpatch`: keys made fit for the paths of JSON patches.

For the mutations of MutatingAdmissionPolicies only; rules of definitions do not have it.
Contract: k8s.io/apiserver/pkg/cel/library/jsonpatch.go.
"""

from lightship.cel.functions import Library, Overload
from lightship.cel.library import costs
from lightship.cel.types import STRING

LIBRARY = Library(
    "kubernetes.jsonpatch",
    (
        Overload(
            "jsonpatch.escapeKey",
            (STRING,),
            STRING,
            lambda key: key.replace("~", "~0").replace("/", "~1"),
            cost=costs.traversal(),
            estimate=costs.of_argument(sized=True),
            id="string_jsonpatch_escapeKey_string",
        ),
    ),
)
