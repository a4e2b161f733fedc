"""The folder that ansible-runner hands to Ansible as its callback plugins (AWX_LIB_DIRECTORY)."""
