"""KillJobs where several servers have the jobs: each gets its own, and the answers are merged."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.errors import EntranceError, JobMoved
from entrance_server.domain.instances import Owner
from entrance_server.rpc import caller, errors
from entrance_server.rpc.edge import Context, Handler, Method
from entrance_server.rpc.naming import names_of
from entrance_server.rpc.peers import Peers
from entrance_server.rpc.places import Patience, PeerLost, Places, doubted
from entrance_server.service.control import MAX_KILLED

Moved: TypeAlias = dict[int, JobMoved]
"""Jobs, by their place in the request, that were not with the server that was asked."""


class Kills:
    """The method, of this server and of the others."""

    def __init__(self, method: Method, handler: Handler, places: Places, peers: Peers) -> None:
        self.places = places
        self._method = method
        self._handler = handler
        self._peers = peers

    async def call(self, request: Any, context: Context) -> Any:
        """Answers for each job as its own server does."""
        try:
            asked = pb.KillJobsRequest.FromString(request)
        except DecodeError:
            asked = pb.KillJobsRequest()
        if (
            len(asked.id_list) != len(asked.task_id_list)
            or not 0 < len(asked.id_list) <= MAX_KILLED
        ):
            return await self._handler(request, context)  # which says what is wrong
        return await _Killing(self, asked, context).run()

    async def send(
        self, owner: Owner | None, part: pb.KillJobsRequest, context: Context
    ) -> Sequence[pb.KillJobResult]:
        """The answers of one server; None is this one.

        Raises:
            RemoteError, JobMoved, PeerLost: as Peers.call.
        """
        message = part.SerializeToString()
        if owner is None:
            response = await self._handler(message, context)
        else:
            answer = await self._peers.call(owner, self._method, message, context)
            response = pb.KillJobsResponse.FromString(answer)
        return list(response.messages)


class _Killing:
    """One call, until each of its jobs has an answer."""

    def __init__(self, kills: Kills, asked: pb.KillJobsRequest, context: Context) -> None:
        self._kills = kills
        self._asked = asked
        self._context = context
        self._named = list(map(names_of, asked.id_list, asked.task_id_list))
        self._answers: dict[int, pb.KillJobResult] = {}
        self._lost: dict[int, PeerLost] = {}
        self._forwards = caller.noted_forwards()

    async def run(self) -> pb.KillJobsResponse:
        """Asks the servers, and again those that took jobs over meanwhile."""
        patience = Patience()
        while missing := [i for i in range(len(self._named)) if i not in self._answers]:
            moved = await self._ask(missing)
            try:
                for one in moved.values():
                    await patience.after(one)
                    break
            except JobMoved:
                for index, error in moved.items():
                    self._refuse(index, error)
        return pb.KillJobsResponse(messages=[self._answers[i] for i in range(len(self._named))])

    async def _ask(self, indexes: Sequence[int]) -> Moved:
        places = await self._kills.places.of_all([self._named[index] for index in indexes])
        moved: Moved = {}
        parts = defaultdict[Owner | None, list[int]](list)
        for index, place in zip(indexes, places, strict=True):
            if isinstance(place, JobMoved):
                moved[index] = place
            else:
                parts[place].append(index)
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(self._ask_one(*part)) for part in parts.items()]
        for task in asking:
            moved |= task.result()
        return moved

    async def _ask_one(self, owner: Owner | None, indexes: Sequence[int]) -> Moved:
        part = pb.KillJobsRequest(
            id_list=[self._asked.id_list[index] for index in indexes],
            task_id_list=[self._asked.task_id_list[index] for index in indexes],
        )
        if owner is not None:
            names = (name for index in indexes for name in self._named[index])
            self._forwards.update(dict.fromkeys(names, owner.name))
        try:
            answers = await self._kills.send(owner, part, self._context)
        except JobMoved as error:
            if isinstance(error, PeerLost):
                self._lost |= dict.fromkeys(indexes, error)
            return dict.fromkeys(indexes, error)
        except EntranceError as error:
            for index in indexes:
                self._refuse(index, error)
            return {}
        return {
            index: moved
            for index, answer in zip(indexes, answers, strict=True)
            if (moved := self._take(index, answer))
        }

    def _take(self, index: int, answer: pb.KillJobResult) -> JobMoved | None:
        """Keeps an answer, unless it is that the job is with another server."""
        if answer.status.code and index in self._lost:
            error = doubted(errors.RemoteError(answer.status), self._lost[index])
            answer.status.CopyFrom(errors.status_of(error))
        if _reason(answer.status) == JobMoved.reason:
            return JobMoved(answer.status.message)
        self._answers[index] = answer
        return None

    def _refuse(self, index: int, error: EntranceError) -> None:
        self._answers[index] = pb.KillJobResult(
            id=self._asked.id_list[index], status=errors.status_of(error)
        )


def _reason(status: status_pb2.Status) -> str:
    info = error_details_pb2.ErrorInfo()
    any(detail.Unpack(info) for detail in status.details)
    return info.reason
