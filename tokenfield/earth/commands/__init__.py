"""`tokenfield climate`: fields of the Earth as tokens, with values at any latitude and longitude."""

from typing import Annotated

import tyro

from tokenfield.earth.commands.field import Decode, Map, Query
from tokenfield.earth.commands.files import Encode, Evaluate, Year

Action = Encode | Year | Decode | Query | Map | Evaluate


def climate(action: Annotated[Action, tyro.conf.arg(name=""), tyro.conf.OmitSubcommandPrefixes]) -> int:
    """Fields of the Earth: encode, decode on any grid, query at any place, draw as maps, evaluate.

    Reads netCDF, Zarr and NPY with any order of latitudes and longitudes; missing cells take no part. The model
    earth-climate is packaged; train others with tokenfield train harmonic-climatology --data FOLDER (or lainr-, anr-,
    anchored-climatology, lainr-era5, anr-era5). Each action has --help, and --json PATH for machines.

    Args:
        action: what to do.
    """
    return action.run()
