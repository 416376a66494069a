"""Codes of fields on the sphere beside models."""
