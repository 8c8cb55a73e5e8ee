"""Groups, priorities, limits and holds: decides which job starts next. Pure."""

from entrance_server.domain.job import GroupLimits
from entrance_server.scheduling.limits import GroupRule, LimitRules
from entrance_server.scheduling.scheduler import GroupLoad, QueueFull, Scheduler

__all__ = ["GroupLimits", "GroupLoad", "GroupRule", "LimitRules", "QueueFull", "Scheduler"]
