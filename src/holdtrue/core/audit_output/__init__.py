"""An audit's report for each of its readers: terminals, programs, code scanners, SBOM tools, Prefect, browsers."""
