"""From the public proto to the service's terms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.errors import InvalidRequest
from entrance_server.domain.job import JobParams
from entrance_server.domain.status import JobStatus
from entrance_server.logs.levels import LogLevel
from entrance_server.rpc import enums, requests, responses
from entrance_server.service.views import SubmitCommand

words = st.text(max_size=5)
mappings = st.dictionaries(words, words, max_size=3)
params = st.builds(
    JobParams, variable=mappings, startup=mappings, runtime=mappings, special=mappings
)


@given(params)
def test_parameters_survive_the_way_out_and_back(original: JobParams) -> None:
    sent = responses.job_params(original).SerializeToString()
    assert requests.job_params(pb.JobParams.FromString(sent)) == original


@pytest.mark.parametrize("kind", [pb.ExecuteRequest, pb.SubmitRequest])
def test_a_request_with_nothing_set_is_a_command_with_nothing_set(
    kind: type[pb.ExecuteRequest | pb.SubmitRequest],
) -> None:
    command = requests.submit_command(kind(), address="")
    assert command == SubmitCommand(code="", run_type="")


@given(st.sets(st.sampled_from(JobStatus)))
def test_every_status_can_be_filtered_by(statuses: set[JobStatus]) -> None:
    request = pb.ListJobsRequest(statuses=[enums.STATUS_TO_PROTO[each] for each in statuses])
    assert requests.job_filter(request).statuses == statuses


@given(st.sets(st.sampled_from(LogLevel)))
def test_every_level_can_be_filtered_by(levels: set[LogLevel]) -> None:
    request = pb.StreamLogRequest(levels=[enums.LEVEL_TO_PROTO[each] for each in levels])
    assert requests.log_levels(request) == levels


@given(
    st.datetimes(timezones=st.just(UTC)).filter(lambda time: time.year > 1),
)
def test_a_time_survives_to_the_microsecond(time: datetime) -> None:
    timestamp = Timestamp()
    timestamp.FromDatetime(time)
    where = requests.job_filter(pb.ListJobsRequest(create_time_from=timestamp))
    assert where.create_time_from == time
    assert where.create_time_to is None


@pytest.mark.parametrize("field", ["create_time_from", "create_time_to"])
@pytest.mark.parametrize(
    "timestamp",
    [
        Timestamp(seconds=2**62),
        Timestamp(seconds=-(2**62)),
        Timestamp(nanos=-1),
        Timestamp(nanos=2_000_000_000),
    ],
    ids=["late", "early", "negative-nanos", "nanos"],
)
def test_a_time_that_is_none_is_refused_by_its_field(field: str, timestamp: Timestamp) -> None:
    request = pb.ListJobsRequest()
    getattr(request, field).CopyFrom(timestamp)
    with pytest.raises(InvalidRequest) as refusal:
        requests.job_filter(request)
    json_name = pb.ListJobsRequest.DESCRIPTOR.fields_by_name[field].json_name
    assert [violation.field for violation in refusal.value.violations] == [json_name]
