"""Fractures as patients have them: how often, where, and how a vertebra collapses."""
