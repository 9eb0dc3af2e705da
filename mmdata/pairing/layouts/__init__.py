"""Readers of caption sources, a layout each, and what they are made of."""
