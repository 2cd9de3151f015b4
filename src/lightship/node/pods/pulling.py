"""Makes the environments of a pod's images ready, beside the worker, so that a pod can be deleted while one is being built.

Called by `worker` for `sync.PullImage`. What an image means is the catalogue's business; here are tasks, events and what the status shows.
"""

import logging

from lightship.meta import objects
from lightship.node.images import requirements
from lightship.node.images.catalogue import ImageError

from . import status
from .subject import Subject

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 1.0
"""How often a pod's status says how far the building of its environment is."""


class Pulling:
    """Pulls of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def start(self, name: str, image: str) -> None:
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
            self._subject.environments[image] = await self._subject.node.catalogue.resolve(image, progress, brought)
        except (ImageError, OSError) as error:
            self._subject.state.image_failed(image, "ErrImagePull", str(error), clock.now())
            self._subject.event("Warning", "Failed", f'Failed to pull image "{image}": {error}', name)
            self._subject.event("Warning", "Failed", "Error: ErrImagePull", name)
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
