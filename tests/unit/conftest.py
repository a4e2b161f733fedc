"""What holds for every unit test."""

from hypothesis import settings

# A property is not a matter of how busy the machine is; what has to be fast has a benchmark.
settings.register_profile("holdtrue", deadline=None)
settings.load_profile("holdtrue")
