"""Prefect flows: the order of work, read from top to bottom like a runbook. No classes, no SDK, no decisions."""

import gc

# A worker starts a process for each run, and this is the first module of ours in it. What Prefect has imported by now
# stays until the end: the collector need not look through it again while the rest is imported.
gc.freeze()
