"""Ansible: one ordinary playbook, run by ansible-runner in a child process, with typed results as they happen."""

from holdtrue.adapters.ansible.configurator import AnsibleConfigurator
from holdtrue.adapters.ansible.prerequisites import PlaybookQuestions
from holdtrue.adapters.ansible.selection import TaskSelection

__all__ = ["AnsibleConfigurator", "PlaybookQuestions", "TaskSelection"]
