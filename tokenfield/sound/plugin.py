"""What this slice adds to the registry."""

from types import ModuleType

WAV = (".wav", ".wave")
SUFFIXES = (*WAV, ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au")
"""Of recordings; all but WAV need soundfile."""


def register(registry: ModuleType) -> None:
    """Systems, data, an objective, a domain, recipes and a command for recordings."""
    registry.MODELS.add("sound-lainr", "tokenfield.sound.models:SoundLainr")
    registry.MODELS.add("sound-ipc", "tokenfield.sound.models:SoundIpc")
    registry.MODELS.add("sound-trans-inr", "tokenfield.sound.models:SoundTransInr")
    registry.DATA.add("sound", "tokenfield.sound.data:SoundConfig")
    registry.OBJECTIVES.add("sound", "tokenfield.sound.objective:WaveformConfig")
    registry.DOMAINS.add("recording", "tokenfield.sound.recording:Recording")
    registry.RECIPES.add_functions("tokenfield.sound.recipes", group="Recordings")
    registry.COMMANDS.add("sound", "tokenfield.sound.commands:sound")
    registry.FILES.update(dict.fromkeys(SUFFIXES, "sound"))
