"""Views of objects (LAINR 4.2, ANR 4.3): rays, light fields and radiance fields, meshes, cameras, a viewer."""
