"""Kinds that are questions: created, answered and never stored. Groups `authentication.k8s.io/v1` and `authorization.k8s.io/v1`.

Read by the server, which answers them, and by clients that ask. Not part of `kinds.BUILTIN`, which are kinds with objects.
Contract: kube 1.36 authentication/v1, authorization/v1.
"""

from lightship.kinds.facts import schema_ref
from lightship.meta.resources import Resource


def _review(group: str, kind: str, *, namespaced: bool = False) -> Resource:
    return Resource(
        group=group,
        version="v1",
        kind=kind,
        plural=kind.lower() + "s",
        singular=kind.lower(),
        namespaced=namespaced,
        verbs=("create",),
        schema=schema_ref(f"io.k8s.api.{group.partition('.')[0]}.v1.{kind}"),
    )


AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"
SELF_SUBJECT_REVIEWS = _review(AUTHENTICATION, "SelfSubjectReview")
TOKEN_REVIEWS = _review(AUTHENTICATION, "TokenReview")
LOCAL_SUBJECT_ACCESS_REVIEWS = _review(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True)
SELF_SUBJECT_ACCESS_REVIEWS = _review(AUTHORIZATION, "SelfSubjectAccessReview")
SELF_SUBJECT_RULES_REVIEWS = _review(AUTHORIZATION, "SelfSubjectRulesReview")
SUBJECT_ACCESS_REVIEWS = _review(AUTHORIZATION, "SubjectAccessReview")

RESOURCES: tuple[Resource, ...] = (
    SELF_SUBJECT_REVIEWS,
    TOKEN_REVIEWS,
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
)
