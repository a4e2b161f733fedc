"""One thin `@task` for each step: load the block, build the adapter, call it, return a model.

May import blocks and the library. Retry, timeout, cache and span policy live here, and nothing else does: no decision
about the domain, no SDK of a tool, no import from flows.
"""
