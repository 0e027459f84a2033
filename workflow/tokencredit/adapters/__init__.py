"""The credit functions inside other trainers: ``trl``, ``verl``; ``padded`` is the way between their batches and ours.

A trainer is imported by its own module only, so that none of them is needed by the rest of the package.
"""
