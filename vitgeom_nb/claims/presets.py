"""Presets: filled in below."""
