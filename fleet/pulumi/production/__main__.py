"""The stack's entry point: declare the resources, export what others rely on."""

import pulumi

from infrastructure import declare

for name, value in declare().items():
    pulumi.export(name, value)
