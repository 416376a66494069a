"""The two verbs every system answers: `encode` and `decode`.

Decoding is three parts (DESIGN of this package): `locate` depends on the coordinates alone and is computed once for a
grid that a batch or a film shares; `condition` depends on the tokens alone and is computed once per instance; `combine`
needs both and is the small remainder. `decode` is nothing but their composition, whole or in chunks.
"""

from typing import Any, ClassVar

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from tokenfield.coords import Coordinates, count, split

CHUNK = 4096
"""Coordinates per chunk when no gradient is asked: their activations fit a core's cache."""


class FieldModel(nn.Module, PyTorchModelHubMixin, library_name="tokenfield"):
    """A generalizable implicit neural representation: one shared function, one set of tokens per instance.

    Attributes:
        name: the system's name in configurations and files.
        config: the frozen dataclass that built this model.
        input_size: (H, W) that `encode` takes; None if it takes every H and W that are multiples of `cell`.
        cell: side in pixels of a patch or cell.
        halo: for models of any size, how many cells around a token its value depends on.
        reach: for models of any size, how many cells around a coordinate its value depends on.
        channels: C, values per coordinate.
    """

    name: ClassVar[str]
    config: Any
    input_size: tuple[int, int] | None = None
    cell: int = 1
    halo: int = 0
    reach: int = 0
    channels: int = 3

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, C, H, W) in [0, 1] -> tokens (B, ..., D), one forward pass."""
        raise NotImplementedError(f"{type(self).__name__}.encode")

    def locate(self, coords: Coordinates) -> Any:
        """What depends on the coordinates alone."""
        raise NotImplementedError(f"{type(self).__name__}.locate")

    def condition(self, tokens: Tensor) -> Any:
        """What depends on the tokens alone."""
        raise NotImplementedError(f"{type(self).__name__}.condition")

    def combine(self, located: Any, conditioned: Any) -> Tensor:
        """What needs both -> values (B, Q, C)."""
        raise NotImplementedError(f"{type(self).__name__}.combine")

    def decode(self, tokens: Tensor, coords: Coordinates, chunk: int | None = None) -> Tensor:
        """Values of the field at the coordinates.

        Args:
            tokens: what `encode` returned, B instances.
            coords: points (Q, X) shared by all instances, (B, Q, X) of their own, or a `Grid` of Q points; [-1, 1] over
                the model's input, float32 or wider.
            chunk: most coordinates to work on at once; the result is the same, the memory is bounded by it. Default:
                all of them while gradients are recorded, else `CHUNK`.
        Returns:
            (B, Q, C), neither clamped nor rounded; grid points in row-major order.
        """
        if chunk is None:
            chunk = count(coords) if torch.is_grad_enabled() else CHUNK
        conditioned = self.condition(tokens)
        parts = [self.combine(self.locate(part), conditioned) for part in split(coords, chunk)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    @property
    def num_parameters(self) -> int:
        """Trainable numbers, shared by all instances."""
        return sum(p.numel() for p in self.parameters())
