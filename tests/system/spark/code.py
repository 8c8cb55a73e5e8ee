"""SQL that takes as long as a test wants."""

USED = "nap = 'null'"  # which it is; else Spark would leave the naps out


def slow_query(tasks: int, *, rows: int = 4, milliseconds: int = 250) -> str:
    """A query of many tasks, each of which takes some rows' time."""
    naps = f"select java_method('java.lang.Thread', 'sleep', {milliseconds}L) nap"
    return f"select count(*) n from ({naps} from range(0, {tasks * rows}, 1, {tasks})) where {USED}"
