"""Calls as they travel: messages in and out, typed errors, deadlines, and one rule for trying again.

It knows no result types: what the client returns stands on it, and so do the trainer and the conformance kit.
"""
