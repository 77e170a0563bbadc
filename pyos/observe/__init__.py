"""Observers: they are bound in at boot around the handlers, and cost nothing when they are not."""
