"""Fields over the globe: netCDF, Zarr and NPY, units, masks, the sphere."""
