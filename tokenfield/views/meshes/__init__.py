"""Meshes to posed views: files and catalogues of objects, surfaces, a ray tracer, and the learnit layout on disk.

    catalogue    what a path holds: mesh files, folders, zip archives, Sweet Home 3D's `.sh3f`
    files        a mesh file, through trimesh or as AC3D (`ac3d`), becomes a surface
    surface      triangles with normals, colours, textures; scaled into the sphere that the cameras look at
    textures     pictures on a surface, at the resolution that a pixel of the view can see
    tracer       rays against triangles
    renderer     light, transparency, antialiasing: a surface and a pose become an RGBA picture
    objects      objects become folders of views, in several processes, resumable
"""
