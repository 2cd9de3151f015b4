"""Makes the environments of a pod's images ready, beside the worker, so that a pod can be deleted while one is being built.

Called by `worker` for `sync.PullImage`. What an image means is the catalogue's business; here are tasks, events and what the status shows.
"""

import logging
import re

from lightship.meta import objects
from lightship.node.images import requirements
from lightship.node.images.catalogue import ImageError

from . import status
from .subject import Subject

log = logging.getLogger(__name__)

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_NAME = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[\w][\w.-]{{0,127}})?(?:@[A-Za-z][\w+.-]*:[0-9a-fA-F]{{32,}})?", re.ASCII)

PROGRESS_SECONDS = 1.0
"""How often a pod's status says how far the building of its environment is."""


class Pulling:
    """Pulls of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def start(self, name: str, image: str) -> None:
        why = malformed(image)
        if why:
            self._subject.event("Warning", "InspectFailed", why, name)
            self._failed(name, image, "InvalidImageName", why)
            return
        self._subject.state.image(image).pulling = True
        self._subject.spawn(self._pull(name, image), f"pull {image}")

    async def _pull(self, name: str, image: str) -> None:
        clock, started = self._subject.node.clock, self._subject.node.clock.monotonic()
        told, shown = False, 0.0

        def progress(line: str) -> None:
            nonlocal told, shown
            if not told:
                told = True
                self._subject.event("Normal", "Pulling", f'Pulling image "{image}": {line}', name)
            log.info("image image=%s %s", image, line)
            self._subject.state.image(image).progress = line
            if clock.monotonic() >= shown + PROGRESS_SECONDS:
                shown = clock.monotonic()
                self._subject.wake()

        try:
            brought = objects.annotations(self._subject.pod).get(requirements.ANNOTATION, "")
            found = await self._subject.node.catalogue.resolve(image, progress, brought, self._policy(name, image))
            self._subject.environments[image] = found
        except (ImageError, OSError) as error:
            if self._policy(name, image) == "Never":
                # Without an engine nothing is ever pulled: what no environment is mapped to is what is not present.
                text = f'Container image "{image}" is not present with pull policy of Never'
                self._subject.event("Warning", "ErrImageNeverPull", text, name)
                self._failed(name, image, "ErrImageNeverPull", text)
            else:
                self._subject.event("Warning", "Failed", f'Failed to pull image "{image}": {error}', name)
                self._failed(name, image, "ErrImagePull", str(error))
        except Exception as error:
            log.exception("image could not be resolved image=%s", image)
            self._subject.state.image_failed(image, "ErrImagePull", f"internal error: {error}", clock.now())
        else:
            took = clock.monotonic() - started
            text = (
                f'Successfully pulled image "{image}" in {took:.3g}s' if told else f'Container image "{image}" already present on machine'
            )
            self._subject.event("Normal", "Pulled", text, name)
            self._subject.state.image_pulled(image, status.ID_PREFIX + self._subject.environments[image].name)
        self._subject.wake()

    def _policy(self, name: str, image: str) -> str:
        """When it is pulled: as its container says, or the volume that shows it."""
        if name:
            return self._subject.spec_of(name).get("imagePullPolicy") or ""
        volumes = [v["image"] for v in objects.spec(self._subject.pod).get("volumes") or () if v.get("image")]
        return next((v.get("pullPolicy") or "" for v in volumes if v.get("reference") == image), "")

    def _failed(self, name: str, image: str, reason: str, message: str) -> None:
        self._subject.state.image_failed(image, reason, message, self._subject.now())
        self._subject.event("Warning", "Failed", f"Error: {reason}", name)


def malformed(image: str) -> str:
    """Why a name cannot be that of an image; empty when it can."""
    if _NAME.fullmatch(image):
        return ""
    why = "repository name must be lowercase" if _NAME.fullmatch(image.lower()) else "invalid reference format"
    return f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": {why}'
