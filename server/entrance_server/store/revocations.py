"""How servers of one store tell each other who is not let in any more."""

from __future__ import annotations

import json

from entrance_server.domain.users import Revocation

_REVOKED = "revoked "


def revoked(what: Revocation) -> str:
    """The notice of a revocation."""
    parts = [what.token_id, what.ticket_hash.hex(), what.user, what.logins_only]
    return _REVOKED + json.dumps(parts)


def revoked_in(notice: str) -> Revocation | None:
    """The revocation whose notice `revoked` gave; None for any other notice."""
    if not notice.startswith(_REVOKED):
        return None
    token_id, ticket, user, logins_only = json.loads(notice[len(_REVOKED) :])
    return Revocation(token_id, bytes.fromhex(ticket), user, logins_only)
