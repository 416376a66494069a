"""What this slice adds to the registry."""

from types import ModuleType

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
"""Of films that ffmpeg reads."""


def register(registry: ModuleType) -> None:
    """Systems, data, an objective, a domain, recipes and a command for films."""
    registry.MODELS.add("film-lainr", "tokenfield.film.models:FilmLainr")
    registry.MODELS.add("film-ipc", "tokenfield.film.models:FilmIpc")
    registry.MODELS.add("film-trans-inr", "tokenfield.film.models:FilmTransInr")
    registry.DATA.add("film", "tokenfield.film.data:FilmConfig")
    registry.OBJECTIVES.add("film", "tokenfield.film.objective:FramesConfig")
    registry.DOMAINS.add("film", "tokenfield.film.clips:Film")
    registry.RECIPES.add_functions("tokenfield.film.recipes", group="Films")
    registry.COMMANDS.add("film", "tokenfield.film.commands:film")
    registry.FILES.update(dict.fromkeys(SUFFIXES, "film"))
