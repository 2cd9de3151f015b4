"""What a pod brings along: packages that its annotation asks for besides those of its images.

    lightship.dev/requirements: "rich, httpx>=0.27,<1"          or one per line

Names, extras and versions only: an annotation must not choose where packages come from, nor read files of this machine. Pure; called by
`catalogue`.
"""

import re

ANNOTATION = "lightship.dev/requirements"

_OPERATOR = r"(?:===|==|~=|!=|<=|>=|<|>)"
_VERSION = r"[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_REQUIREMENT = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"  # Contract: PEP 508 names
    r"(?:\[[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*\])?"
    rf"(?:{_OPERATOR}{_VERSION}(?:,{_OPERATOR}{_VERSION})*)?"
)
MOST = 100


class RequirementsError(ValueError):
    """An annotation that cannot be followed, with the piece that is wrong."""


def parse(text: str) -> list[str]:
    """The requirements of an annotation, without spaces, each once. Raises `RequirementsError`."""
    found: list[str] = []
    for line in text.splitlines():
        found += _line(line.partition(" #")[0])
    if len(found) > MOST:
        raise RequirementsError(f"annotation {ANNOTATION}: {len(found)} requirements are too many, {MOST} is the limit")
    for requirement in found:
        if not _REQUIREMENT.fullmatch(requirement):
            raise RequirementsError(
                f'annotation {ANNOTATION}: "{requirement}" is no requirement; names with versions are, like httpx or httpx>=0.27,<1'
            )
    return list(dict.fromkeys(found))


def _line(line: str) -> list[str]:
    """Pieces between commas; one that begins with an operator belongs to the piece before, as does what stands in brackets."""
    found: list[str] = []
    for piece in re.sub(r"\s*(===|==|~=|!=|<=|>=|<|>|,|\[|\])\s*", r"\1", line.strip()).split(","):
        if found and (re.match(_OPERATOR, piece) or found[-1].count("[") > found[-1].count("]")):
            found[-1] += f",{piece}"
        elif piece and not piece.startswith("#"):
            found.append(piece)
    return found
