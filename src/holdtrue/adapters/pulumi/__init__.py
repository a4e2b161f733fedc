"""The infrastructure engine Pulumi, run in a child process of its own.

Worker side: `engine` (the door), `workspace`, `journal`, `changes`, `failures`. Child side: `child`, `program`,
`provider`, `events`. Both speak `messages`. This file stays empty of imports, because the child pays for them.
"""
