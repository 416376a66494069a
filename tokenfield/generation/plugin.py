"""What this slice adds to the registry."""

from types import ModuleType


def register(registry: ModuleType) -> None:
    """Denoisers, latents as data, their objective, recipes and commands."""
    registry.DENOISERS.add("denoiser", "tokenfield.generation.denoiser:Denoiser")
    registry.DENOISERS.add("lattice-denoiser", "tokenfield.generation.lattice_denoiser:LatticeDenoiser")
    registry.DATA.add("latents", "tokenfield.generation.latents:LatentsConfig")
    registry.OBJECTIVES.add("denoising", "tokenfield.generation.objective:DenoisingConfig")
    registry.RECIPES.add_functions("tokenfield.generation.recipes", group="Generation: tokenizers and denoisers")
    registry.COMMANDS.add("latents", "tokenfield.generation.commands.latents:latents")
    registry.COMMANDS.add("generate", "tokenfield.generation.commands.generate:generate")
    registry.COMMANDS.add("score", "tokenfield.generation.commands.score:score")
