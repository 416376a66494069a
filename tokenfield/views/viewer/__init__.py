"""Looking around an object: orbits as pictures and animations, and a page whose views the model renders."""
