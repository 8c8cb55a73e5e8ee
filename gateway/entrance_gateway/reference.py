"""Where the OpenAPI document is read; no credentials are needed, as it tells of nobody's jobs."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import version

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from entrance_gateway import envelope, openapi
from entrance_gateway.comments import comments
from entrance_gateway.operations import SERVICES, operations_of


class Reference:
    """Answers with the document, which is made when it is first asked for."""

    @cached_property
    def _document(self) -> bytes:
        made = openapi.document(operations_of(SERVICES), comments(), version=version("entrance"))
        return envelope.encode(made).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the document."""
        await Response(self._document, media_type="application/json")(scope, receive, send)
