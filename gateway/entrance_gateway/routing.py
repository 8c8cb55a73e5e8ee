"""Routes: at each path what answers each verb, literal paths before those with variables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from entrance_gateway import envelope
from entrance_gateway.errors import Refusal
from entrance_gateway.paths import PathTemplate, method_of, segments_of

_METHOD_NAME = "entrance.method"

_Places: TypeAlias = tuple[int, ...]  # of variables
_Literals: TypeAlias = tuple[str, ...]  # segments, "" at the place of each variable


class Resource:
    """Everything at one path. OPTIONS and wrong verbs are answered here."""

    def __init__(self, path: PathTemplate, endpoints: Mapping[str, ASGIApp]) -> None:
        self.path = path
        self._endpoints = dict(endpoints)
        self._allowed = ", ".join(sorted({*endpoints, "OPTIONS"}))

    @property
    def verbs(self) -> Collection[str]:
        """Every verb that has an endpoint."""
        return self._endpoints.keys()

    def endpoint(self, scope: Scope) -> ASGIApp:
        """What answers a request for this path.

        Raises:
            Refusal: its verb does not work here.
        """
        verb = scope["method"]
        if verb in self._endpoints:
            return self._endpoints[verb]
        if verb == "OPTIONS":
            message = envelope.Message(method_name(scope), 0, envelope.OK_TEXT)
            return envelope.EnvelopeResponse(message, headers={"Allow": self._allowed})
        words = f"{verb[:20]} does not work here; use one of {self._allowed}."
        raise Refusal(words, envelope.WRONG_VERB, headers={"Allow": self._allowed})


class Routes:
    """An ASGI application that hands each request to the endpoint of its path and verb."""

    def __init__(self, endpoints: Iterable[tuple[PathTemplate, str, ASGIApp]]) -> None:
        by_path: dict[PathTemplate, dict[str, ASGIApp]] = {}
        for path, verb, endpoint in endpoints:
            by_path.setdefault(path, {})[verb] = endpoint
        self._by_length: dict[int, dict[_Places, dict[_Literals, Resource]]] = {}
        for path in sorted(by_path, key=lambda path: path.rank):
            places = tuple(place for place, name in enumerate(path.variables) if name)
            alike = self._by_length.setdefault(len(path.segments), {}).setdefault(places, {})
            alike[_literals(path.segments, places)] = Resource(path, by_path[path])

    def __iter__(self) -> Iterator[Resource]:
        for by_places in self._by_length.values():
            for alike in by_places.values():
                yield from alike.values()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Finds what answers a request, and lets it.

        Raises:
            Refusal: nothing does.
        """
        resource, scope["path_params"] = self._find(segments_of(scope))
        scope[_METHOD_NAME] = method_of(scope["path"])
        await resource.endpoint(scope)(scope, receive, send)

    def _find(self, segments: Sequence[str]) -> tuple[Resource, Mapping[str, str]]:
        for places, alike in self._by_length.get(len(segments), {}).items():
            resource = alike.get(_literals(segments, places))
            values = resource.path.match(segments) if resource else None
            if resource is not None and values is not None:
                return resource, values
        raise Refusal("There is nothing at this path.", envelope.NO_SUCH_PATH)


def _literals(segments: Sequence[str], places: _Places) -> _Literals:
    literals = list(segments)
    for place in places:
        literals[place] = ""
    return tuple(literals)


def method_name(scope: Scope) -> str:
    """What the envelope calls the operation of a request: the path itself where there is none."""
    return str(scope.get(_METHOD_NAME, scope["path"]))
