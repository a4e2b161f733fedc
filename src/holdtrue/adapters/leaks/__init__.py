"""Search places for values that must not be there: files, databases, processes, the Prefect API."""

from holdtrue.adapters.leaks.addresses import database_at, prefect_api_at, read_values
from holdtrue.adapters.leaks.search import search

__all__ = ["database_at", "prefect_api_at", "read_values", "search"]
