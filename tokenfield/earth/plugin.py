"""What this slice adds to the registry."""

from types import ModuleType

NETCDF, ZARR = (".nc", ".cdf", ".nc4", ".netcdf", ".h5"), ".zarr"
"""Endings of what fields over the globe are stored in."""


def register(registry: ModuleType) -> None:
    """Systems, data, an objective, a domain, recipes and a command for fields over the globe."""
    registry.MODELS.add("gridded-lainr", "tokenfield.earth.models:GriddedLainr")
    registry.MODELS.add("gridded-anr", "tokenfield.earth.models:GriddedAnr")
    registry.MODELS.add("gridded-anchored", "tokenfield.earth.models:GriddedAnchored")
    registry.MODELS.add("gridded-harmonic", "tokenfield.earth.harmonic_field:GriddedHarmonic")
    registry.DATA.add("gridded", "tokenfield.earth.data:GriddedConfig")
    registry.OBJECTIVES.add("area", "tokenfield.earth.objective:AreaConfig")
    registry.DOMAINS.add("globe", "tokenfield.earth.globe:Globe")
    registry.DOMAINS.add("globe-series", "tokenfield.earth.series:GlobeSeries")
    registry.RECIPES.add_functions("tokenfield.earth.recipes", group="Fields over the globe")
    registry.COMMANDS.add("climate", "tokenfield.earth.commands:climate")
    registry.FILES.update(dict.fromkeys((*NETCDF, ZARR), "climate"))
