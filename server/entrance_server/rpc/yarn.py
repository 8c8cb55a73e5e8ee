"""What a job uses, under the names that legacy clients read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entrance.v1 import entrance_pb2 as pb
from entrance_server.domain.job import Application, Job, Resources


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to use. Memory in bytes."""

    cores: float
    memory_bytes: int


def metrics(job: Job, resources: Resources, machine: Machine) -> pb.YarnMetrics:
    """A job's resources, one entry for each application."""
    core_load = _load(resources.cores, machine.cores)
    memory_load = _load(resources.memory_bytes, machine.memory_bytes)
    return pb.YarnMetrics(
        yarn_resource=[_resource(each) for each in _applications(job, resources)],
        core_percent=core_load,
        memory_percent=memory_load,
        core_rgb=colour(core_load),
        memory_rgb=colour(memory_load),
    )


def colour(load: float) -> str:
    """A load from 0 to 1 as `#rrggbb`: green, yellow at the half, red."""
    red = round(255 * min(1.0, 2 * load))
    green = round(255 * min(1.0, 2 * (1 - load)))
    return f"#{red:02x}{green:02x}00"


def _load(used: float, available: float) -> float:
    return min(1.0, max(0.0, used / available))


def _applications(job: Job, resources: Resources) -> Sequence[Application]:
    if resources.applications:
        return resources.applications
    return [
        Application(
            application_id=job.session_id or "",
            queue_name=job.spec.engine_type,
            memory_bytes=resources.memory_bytes,
            cores=resources.cores,
            instances=resources.processes,
        )
    ]


def _resource(application: Application) -> pb.YarnResource:
    return pb.YarnResource(
        application_id=application.application_id,
        queue_name=application.queue_name,
        queue_memory=application.memory_bytes,
        queue_cores=application.cores,
        queue_instances=application.instances,
    )
