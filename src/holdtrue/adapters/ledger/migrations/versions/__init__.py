"""Each step from one shape of the ledger to the next."""
