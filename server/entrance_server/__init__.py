"""The Entrance server: accepts, persists, schedules, watches and answers for jobs."""
