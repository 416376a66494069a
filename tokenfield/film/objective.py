"""What a training step minimises on films: the mean squared error of a clip's pixels, in [0, 1]."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from tokenfield.errors import UserError
from tokenfield.fields.field import Field
from tokenfield.film.clips import encode_film
from tokenfield.film.data import FilmSource
from tokenfield.film.files import RATE
from tokenfield.film.models import FilmModel, film_model
from tokenfield.models.base import Model
from tokenfield.signals.models import SignalModel
from tokenfield.signals.objective import SamplesConfig


@dataclass(frozen=True)
class FramesConfig(SamplesConfig):
    """The squared error of pixels."""

    def field(self, model: SignalModel, samples: Float[Tensor, "c t h w"]) -> Field:
        return encode_film(film_model(model), samples, RATE)

    def check(self, model: Model, source: object, held_out: object, seed: int) -> None:
        if not isinstance(model, FilmModel) or not isinstance(source, FilmSource):
            raise UserError(f"the {model.name} model on these data; films need one of film-lainr, film-ipc, "
                            "film-trans-inr")
        data, taken = source.config, model.config
        if (data.frames, data.size, data.channels) != (taken.frames, taken.size, taken.channels):
            raise UserError(f"clips of {data.frames} frames, {data.size} pixels, {data.channels} channels, the model "
                            f"takes {taken.frames}, {taken.size}, {taken.channels}; make data and model agree in "
                            "frames, size and channels")
        source.sample(seed, 0, 0)
