"""Stages: frozen values that map an example, a dict of tensors, to an example."""
