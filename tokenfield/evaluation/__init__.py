"""How good a model is: protocols, PSNR, principal components as a floor, locality, maps and figures."""
