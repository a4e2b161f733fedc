"""The stack's entry point: read the machine registry, declare the resources, export what others rely on."""

import pulumi

from infrastructure import declare
from registry import read_registry

for name, value in declare(read_registry()).items():
    pulumi.export(name, value)
