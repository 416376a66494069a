"""Pools of public pictures, objects and fields, rebuilt from where they are published."""
