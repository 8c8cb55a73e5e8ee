"""Whose page sent a request: a cookie alone must not let another site act for its user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from entrance_gateway import envelope
from entrance_gateway.errors import Refusal

_OURS = frozenset({"same-origin", "none"})  # of Sec-Fetch-Site; none is an address typed in
_CROSS_SITE = envelope.Outcome(3, 403)


class Origins:
    """Tells pages of this origin, and of those that are allowed, from all others."""

    def __init__(self, allowed: Iterable[str] = (), *, https: bool = False) -> None:
        self._allowed = frozenset(origin.lower() for origin in allowed)
        self._https = https

    def is_https(self, request: HTTPConnection) -> bool:
        """Whether the caller came by HTTPS."""
        return self._https or request.scope["scheme"] == "https"

    def check(self, request: HTTPConnection, *, acts: bool) -> None:
        """Lets pages of ours pass, and programs, which do not tell of a page.

        Raises:
            Refusal: another site's page sent the request; or a browser that does not tell whose
                page it was sent what acts.
        """
        if not self._is_ours(request, acts):
            raise Refusal(
                "A page of another site may not do this with the session's cookie alone; send a "
                "token, or call from a page of this service's own origin.",
                _CROSS_SITE,
                reason="CROSS_SITE",
            )

    def _is_ours(self, request: HTTPConnection, acts: bool) -> bool:
        headers = request.headers
        page = headers.get("origin") or headers.get("referer")
        origin = None if page is None else _origin_of(page)
        if origin in self._allowed:
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in _OURS
        if page is not None:
            return origin in self._own(request)
        return not (acts and headers.get("user-agent", "").startswith("Mozilla/"))

    def _own(self, request: HTTPConnection) -> Sequence[str]:
        """Our origins by the host that the request names."""
        schemes = ("https",) if self.is_https(request) else ("http", "https")
        return [f"{scheme}://{request.headers.get('host', '').lower()}" for scheme in schemes]


def _origin_of(url: str) -> str | None:
    """The origin of a page's URL; None for what is no URL."""
    try:
        parts = urlsplit(url.lower())
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}"
