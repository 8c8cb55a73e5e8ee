"""Groups, priorities, limits and holds: decides which job starts next. Pure."""

from entrance_server.scheduling.scheduler import GroupCounts, GroupLimits, QueueFull, Scheduler

__all__ = ["GroupCounts", "GroupLimits", "QueueFull", "Scheduler"]
