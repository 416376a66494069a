"""Recipes: one function per run, returning everything that decides it; `tokenfield.registry.RECIPES` finds them.

    from dataclasses import replace
    from tokenfield.registry import RECIPES
    recipe = replace(RECIPES["lainr-photos-64"](), steps=500)
"""
