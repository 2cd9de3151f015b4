"""Images of an engine of containers: found there or pulled by it, under the names that it knows.

Stands in for the `catalogue` where podman or Docker runs the pods; the table of images has no say then. Contract: Docker Engine API,
ImageInspect and ImageCreate; core/v1 imagePullPolicy.
"""

import contextlib
from pathlib import Path

from lightship.node.runtimes.engine.client import Client, EngineError
from lightship.node.runtimes.runtime import RuntimeUnavailableError

from . import requirements
from .catalogue import Builder, Catalogue, ImageError
from .environments import Environment
from .installer import Progress

_GONE = 404


class PulledImages(Catalogue):
    """See `Catalogue`."""

    def __init__(self, file: Path, builder: Builder, client: Client) -> None:
        super().__init__(file, builder)
        self._client = client

    async def resolve(self, image: str, progress: Progress, brought: str = "", policy: str = "") -> Environment:
        """What the engine has under this name, after pulling it where `policy` says so. Raises `ImageError` with the engine's words."""
        if brought:
            raise ImageError(f"annotation {requirements.ANNOTATION}: nothing is installed into images of an engine")
        try:
            found = None if policy == "Always" else await self._inspect(image)
            if found is None and policy != "Never":
                await self._pull(image, progress)
                found = await self._inspect(image)
        except EngineError as error:
            raise ImageError(error.message) from error
        except RuntimeUnavailableError as error:
            raise ImageError(str(error)) from error
        if found is None:
            raise ImageError(f'image "{image}" is not present')
        return _environment(found)

    def files(self, environment: Environment) -> Path:
        """Volumes cannot show what only the engine has. Raises `OSError`."""
        raise OSError("volumes of images are not to be had where an engine runs the pods")

    async def _inspect(self, image: str) -> dict[str, object] | None:
        with contextlib.suppress(EngineError):
            found: dict[str, object] = await self._client.call("GET", f"/images/{image}/json")
            return found
        return None

    async def _pull(self, image: str, progress: Progress) -> None:
        progress("by the engine")
        async for line in self._client.lines("POST", "/images/create", {"fromImage": _with_tag(image)}):
            if line.get("error"):
                raise EngineError(_GONE, str(line["error"]))
            if line.get("status"):
                progress(" ".join(str(line[key]) for key in ("id", "status", "progress") if line.get(key)))


def _with_tag(image: str) -> str:
    """Without one an engine would pull all that there are."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def _environment(found: dict[str, object]) -> Environment:
    config = found.get("Config")
    said = config if isinstance(config, dict) else {}
    id = str(found["Id"])
    return Environment(
        name=id.removeprefix("sha256:"),
        path=[],
        image=id,
        entrypoint=list(said.get("Entrypoint") or ()),
        command=list(said.get("Cmd") or ()),
        user=str(said.get("User") or ""),
    )
