"""Meshes to posed views.

`catalogue` finds the objects of a path, `files` makes a `surface` of each, `renderer` makes pictures of that, with
`textures` at the resolution that a pixel sees, and `objects` folders in learnit's layout, in several processes.
"""
