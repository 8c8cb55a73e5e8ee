"""Routes: at each path what answers each verb, literal paths before those with variables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from entrance_gateway import envelope
from entrance_gateway.errors import Refusal
from entrance_gateway.paths import PathTemplate, method_of, segments_of

_METHOD_NAME = "entrance.method"


class Resource(BaseRoute):
    """Everything at one path. OPTIONS and wrong verbs are answered here."""

    def __init__(self, path: PathTemplate, endpoints: Mapping[str, ASGIApp]) -> None:
        self.path = path
        self._endpoints = dict(endpoints)
        self._allowed = ", ".join(sorted({*endpoints, "OPTIONS"}))

    @property
    def verbs(self) -> Collection[str]:
        """Every verb that has an endpoint."""
        return self._endpoints.keys()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this path, with its variables and the operation's name."""
        values = self.path.match(segments_of(scope)) if scope["type"] == "http" else None
        if values is None:
            return Match.NONE, {}
        return Match.FULL, {"path_params": values, _METHOD_NAME: method_of(scope["path"])}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a matching request to the endpoint of its verb."""
        verb = scope["method"]
        endpoint = self._endpoints.get(verb)
        if endpoint is None and verb == "OPTIONS":
            endpoint = self._options(scope)
        if endpoint is None:
            words = f"{verb[:20]} does not work here; use one of {self._allowed}."
            raise Refusal(words, envelope.WRONG_VERB, headers={"Allow": self._allowed})
        await endpoint(scope, receive, send)

    def _options(self, scope: Scope) -> ASGIApp:
        message = envelope.Message(method_name(scope), 0, envelope.OK_TEXT)
        return envelope.EnvelopeResponse(message, headers={"Allow": self._allowed})


def resources(endpoints: Iterable[tuple[PathTemplate, str, ASGIApp]]) -> Sequence[Resource]:
    """The resources that path, verb and endpoint make, in the order in which to try them."""
    by_path: dict[PathTemplate, dict[str, ASGIApp]] = {}
    for path, verb, endpoint in endpoints:
        by_path.setdefault(path, {})[verb] = endpoint
    return [Resource(path, by_path[path]) for path in sorted(by_path, key=lambda path: path.rank)]


def method_name(scope: Scope) -> str:
    """What the envelope calls the operation of a request: the path itself where there is none."""
    return str(scope.get(_METHOD_NAME, scope["path"]))


async def unknown_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuses a request for a path at which there is nothing."""
    raise Refusal("There is nothing at this path.", envelope.NO_SUCH_PATH)
