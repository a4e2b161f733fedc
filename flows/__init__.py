"""The order of work: `@flow` functions that read from top to bottom like a runbook.

May import tasks, blocks and the library's models. Must not define classes, import the SDK of a tool, or decide
anything about the domain. No file here is named like a standard or an installed module.
"""
