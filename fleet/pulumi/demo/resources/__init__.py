"""One module a kind of resource: its provider and the class that programs use."""
