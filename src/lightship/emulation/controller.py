"""The emulation as one controller: it sleeps until a node is to be played, and then plays it and its pods.

Built by `main`. Its parts are the `Site` (which nodes), a `Player` each for nodes, pods and every kind that Stages are written for, the
`Rulebook` (by which rules) and the `Leases`.
Contract: kwok 0.8.0, with --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake and --enable-crds=Stage.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.client.cache import Cache
from lightship.client.informer import Informer, OnChange
from lightship.control import Controller, Done, Manager, Outcome
from lightship.emulation import api, rulebook
from lightship.emulation.deeds import Acting, Writer, nobody
from lightship.emulation.defaults.noderules import NodeRules
from lightship.emulation.defaults.pods import PodRules
from lightship.emulation.leases import Leases
from lightship.emulation.play import Due, Rules
from lightship.emulation.player import Player
from lightship.emulation.promises import Promises
from lightship.emulation.rulebook import Kind, Rulebook
from lightship.emulation.site import Site, place_of
from lightship.kinds import CUSTOM_RESOURCE_DEFINITIONS, LEASES, NODES, PODS
from lightship.kinds.extensions.serving import resource_of
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

NAME = "emulation"
_BUILTIN = {(resource.api_version, resource.kind): resource for resource in kinds.BUILTIN}


def controllers(manager: Manager, *, ahead: float = 0.0) -> list["Emulation"]:
    """What `main` adds to its manager. Costs next to nothing while no node is annotated. In virtual time, where nobody but
    `builtin.nodes` reads Leases, they may be renewed so many seconds `ahead` (see `promises`)."""
    return [Emulation(manager, ahead)]


class Emulation(Controller):
    """Plays every node with the annotation `kwok.x-k8s.io/node: fake`, and the pods that are bound to it."""

    def __init__(self, manager: Manager, ahead: float = 0.0) -> None:
        super().__init__(NAME, _Nothing(), watches=())
        self._manager = manager
        self.site = Site(manager.clock)
        cache = manager.cache
        self._nodes = cache.informer(NODES)
        self._pods = cache.informer(PODS)
        self._acting: Acting = nobody
        nodes: Rules = NodeRules((ahead, ahead)) if ahead else NodeRules()
        defaults: dict[Kind, Rules] = {rulebook.NODE: nodes, rulebook.POD: PodRules()}
        self.book = Rulebook(defaults, Random(manager.random.random()), manager.recorder, self._new_rules)
        leases = cache.informer(LEASES)
        self._leases: Leases | Promises = (
            Promises(self.site, manager.client, leases, manager.clock, ahead)
            if ahead
            else Leases(self.site, manager.client, leases, manager.clock, self._changed_hands)
        )
        self._strays: dict[str, dict[Key, None]] = {}
        """Pods on nodes that are not played, by node: they are looked at should the node ever be."""
        self._back: set[str] = set()
        """Nodes that are played again, whose pods have yet to be looked at."""
        self.nodes = self._player(self._nodes, rulebook.NODE, self._wants_node)
        self.pods = self._player(self._pods, rulebook.POD, self._wants_pod)
        self._others: dict[Kind, Player] = {}
        """Of kinds that somebody wrote Stages for."""
        self._group: asyncio.TaskGroup | None = None

    def equip(self, stages: Sequence[Obj], acting: Acting) -> None:
        """Before it runs. `stages` hold for kinds that the cluster has no Stages of; `acting` gives clients that write as the users whom
        Stages name."""
        self.book.give(stages)
        self._acting = acting

    def bind(self, cache: Cache) -> None:
        self._nodes.on_change(self._note_node)
        self._pods.on_change(self._note_pod)

    async def run(self, cache: Cache, clock: Clock) -> None:
        """Play until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self.nodes.run(), name="emulated nodes")
            group.create_task(self.pods.run(), name="emulated pods")
            group.create_task(self._leases.run(), name="leases of emulated nodes")
            if await cache.serves(api.STAGES):
                cache.informer(api.STAGES).on_change(self.book.note)
            await self._play_others()

    def statistics(self) -> dict[str, float]:
        """How many stages were entered, and how many nodes are played."""
        return {"nodes": len(self.site.places), "node stages": self.nodes.played, "pod stages": self.pods.played}

    def _player(self, informer: Informer, kind: Kind, wanted: Callable[[Obj], bool]) -> Player:
        manager = self._manager
        return Player(
            informer=informer,
            hands=Writer(manager.client, informer.resource, manager.recorder, self._lookup, self._as_user),
            rules=lambda: self.book.rules(kind) or _NO_RULES,
            around=self.site,
            clock=manager.clock,
            random=Random(manager.random.random()),
            wanted=wanted,
        )

    def _as_user(self, user: str) -> Client:
        return self._acting(user)

    def _new_rules(self, changed: set[Kind]) -> None:
        """Somebody wrote, changed or deleted Stages."""
        for kind, player in ((rulebook.NODE, self.nodes), (rulebook.POD, self.pods), *self._others.items()):
            if kind in changed:
                player.look_again()
        if self._group is not None and self.book.kinds - {rulebook.NODE, rulebook.POD, *self._others}:
            self._group.create_task(self._play_others())

    async def _play_others(self) -> None:
        """Begin with kinds that have Stages and were not played until now."""
        for kind in sorted(self.book.kinds - {rulebook.NODE, rulebook.POD, *self._others}):
            resource = await self._lookup(*kind)
            if resource is None or kind in self._others or self._group is None:
                continue
            informer = self._manager.cache.informer(resource)
            player = self._others[kind] = self._player(informer, kind, lambda obj: True)
            self._group.create_task(player.run(), name=f"emulated {resource.plural}")
            informer.on_change(_looks(player))

    async def _lookup(self, api_version: str, kind: str) -> Resource | None:
        """A kind of Kubernetes, or one that somebody has defined."""
        found = _BUILTIN.get((api_version, kind))
        if found is not None:
            return found
        for definition in (await self._manager.client.list(CUSTOM_RESOURCE_DEFINITIONS)).items:
            resource = resource_of(definition)
            if resource is not None and (resource.api_version, resource.kind) == (api_version, kind):
                return resource
        return None

    def _wants_node(self, node: Obj) -> bool:
        return self.site.plays(objects.name(node))

    def _wants_pod(self, pod: Obj) -> bool:
        return self.site.plays(objects.spec(pod).get("nodeName") or "")

    def _note_node(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        name = key.name
        if new is None or not api.is_emulated(new):
            if name in self.site.places:
                del self.site.places[name]
                self._leases.remove(name)
                self.nodes.look(key, None)
            return
        before, place = self.site.places.get(name), place_of(new)
        self.site.places[name] = place
        if before is None or before.uid != place.uid or before.silent != place.silent:
            self._leases.add(name)
        self.nodes.look(key, new)
        if before is None:
            self._take_strays(name)
        elif before.silent and not place.silent:
            self._come_back(name)

    def _note_pod(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            self.pods.look(key, None)
            if old is not None:
                self._leave(key, old)
            return
        node = objects.spec(new).get("nodeName")
        if not node:
            return
        if self.site.plays(node):
            if old is None or objects.spec(old).get("nodeName") != node:
                self.site.note_pod(new)
            self.pods.look(key, new)
        else:
            self._strays.setdefault(node, {})[key] = None

    def _leave(self, key: Key, pod: Obj) -> None:
        self.site.note_pod(pod, gone=True)
        node = objects.spec(pod).get("nodeName") or ""
        strays = self._strays.get(node)
        if strays is not None:
            strays.pop(key, None)
            if not strays:
                del self._strays[node]

    def _take_strays(self, node: str) -> None:
        """A node has begun to be played: see to the pods that it has already."""
        if self.site.plays(node):
            for key in self._strays.pop(node, ()):
                self._note_pod(key, None, self._pods.get(key))

    def _come_back(self, node: str) -> None:
        """A node is played again: what became of its pods meanwhile is seen to, together with those of others that are back."""
        if not self._back:
            asyncio.get_running_loop().call_soon(self._look_at_all)
        self._back.add(node)

    def _look_at_all(self) -> None:
        back, self._back = self._back, set()
        for pod in self._pods.list():
            node = objects.spec(pod).get("nodeName")
            if node in back:
                self._note_pod(objects.key(pod), None, pod)

    def _changed_hands(self, node: str) -> None:
        self.nodes.look(Key("", node), self._nodes.get(Key("", node)))
        if self.site.plays(node):
            self._strays.pop(node, None)
            self._come_back(node)


def _looks(player: Player) -> OnChange:
    """What a player does about a change."""
    return lambda key, old, new: player.look(key, new)


class _Nothing:
    """No key is ever put into this controller's queue: its players have their own."""

    async def reconcile(self, key: Key) -> Outcome:
        return Done()


class _NoRules:
    """Nothing ever happens."""

    def step(self, obj: Obj, now: float, random: Random) -> Due | None:
        return None


_NO_RULES = _NoRules()
