"""Obtains the Pulumi CLI in the version that `go.mod` beside this file names, and keeps it outside the checkout."""
