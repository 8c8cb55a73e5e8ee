"""Which RPCs name a job, and so go to the server that has it."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import MethodDescriptor

from entrance.relays import RELAYS
from entrance.v1 import entrance_pb2 as pb
from entrance.v1 import files_pb2, history_pb2, operation_pb2, users_pb2
from entrance_server.rpc import naming

METHODS: list[MethodDescriptor] = [
    method
    for file in (pb, files_pb2, history_pb2, operation_pb2, users_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
ROUTED = {
    *("Status", "Progress", "ProgressWithResource", "Log", "Kill", "KillJobs", "Pause", "Resume"),
    *("StreamLog", "StreamProgress", "WatchJob", "GetJob", "ListResults", "GetTask"),
}
ROUTED_FOR_LOGS = {"OpenLog", "OpenFile", "Download", "ResultsetToExcel", "GetDirFileTrees"}
ANSWERED_ANYWHERE = {
    *("Execute", "Submit", "Preview", "ListJobs", "ListEngines", "ReadResult", "StreamResult"),
    *("ListTasks", "ListUndoneTasks", "GetGovernanceStationAdmin"),
    *("TaskInfo", "RunningTask", "IsOnline", "MarkOffline", "BackOnline", "ConsumerInfo"),
    *("Login", "Logout", "GetUserInfo", "Heartbeat", "GetPublicKey"),
    *("CreateUser", "ListUsers", "SetPassword", "SetUserDisabled"),
    *("CreateToken", "ListTokens", "RevokeToken"),
}


def is_routed(method: MethodDescriptor) -> bool:
    request = method.input_type
    return naming.names_several(request) or naming.namer_of(request) is not None


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_it_is_decided_for_every_rpc_whether_it_names_a_job(method: MethodDescriptor) -> None:
    routed = method.name in ROUTED | ROUTED_FOR_LOGS
    assert routed != (method.name in ANSWERED_ANYWHERE), "a new RPC belongs into one of the lists"
    assert is_routed(method) is routed


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_stream_about_a_live_job_can_go_on_with_another_server(
    method: MethodDescriptor,
) -> None:
    if method.server_streaming and method.name in ROUTED | {"Download"}:
        assert method.input_type.full_name in RELAYS


def test_a_log_is_its_jobs_and_a_result_set_is_everybodys() -> None:
    namer = naming.namer_of(files_pb2.DownloadRequest.DESCRIPTOR)
    assert namer is not None
    assert namer(files_pb2.DownloadRequest(path="entrance:///7/log")) == (7,)
    for path in ("entrance:///7/results", "entrance:///7/results/_0.dolphin", "", "/etc/passwd"):
        assert namer(files_pb2.DownloadRequest(path=path)) == ()


@pytest.mark.parametrize(
    ("id", "task_id", "names"),
    [
        ("7", 0, (7,)),
        ("7", 9, (7, 9)),
        ("7", -1, (7,)),
        ("exec_id008004entrancea:91IDE_alice_12", 0, (12,)),
        ("x", 9, ()),
        ("", 0, ()),
    ],
)
def test_an_id_names_a_number(id: str, task_id: int, names: tuple[int, ...]) -> None:
    assert naming.names_of(id, task_id) == names
