"""What an engine says when a program cannot be started, in the words and codes of a container's status.

Pure. The messages are those of OCI runtimes (runc, crun), which engines wrap in different ways.
"""

import re

from lightship.node.runtimes.runtime import ContainerError, ContainerSpec

_MISSING = re.compile(r"not found in \$PATH|no such file or directory|a command that was not found", re.IGNORECASE)
_FORBIDDEN = re.compile(r"permission denied|exec format error|is a directory", re.IGNORECASE)
_OF_PROGRAM = re.compile(r"exec: \"|executable file|exec format error|unable to start container process|invoke a command|open executable")


def refused(spec: ContainerSpec, message: str) -> ContainerError:
    """A container that did not start."""
    if _OF_PROGRAM.search(message):
        code = 127 if _MISSING.search(message) else 126 if _FORBIDDEN.search(message) else 128
        return ContainerError("StartError", f"failed to start container {spec.name}: {message}", code)
    return ContainerError("CreateContainerError", f"container {spec.name}: {message}")
