"""The infrastructure engine Pulumi, run in a child process of its own.

`engine` is the entry point. These modules run in the child process: `child`, `program`, `provider`, `events`,
`references` and `state`. Both sides use `messages`; all other modules run in the worker. This file imports nothing,
because the child would load it too.
"""
