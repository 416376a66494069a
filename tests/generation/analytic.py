"""Latent spaces whose best denoiser is known in closed form: every class a Gaussian, all of them together a mixture.

x_t = a x_0 + s e with x_0 ~ N(m_c, d_c^2) entry by entry gives x_t ~ N(a m_c, v_c^2), v_c^2 = a^2 d_c^2 + s^2, and

    E[x_0 | x_t, c] = m_c + a d_c^2 / v_c^2 (x_t - a m_c),    p(c | x_t) from the densities of whole instances.

Without a label the answer is the mean of E[x_0 | x_t, c] under p(c | x_t).
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn


class MixtureDenoiser(nn.Module):
    """The exact answer of a denoiser trained for ever.

    Args:
        means: (K, R, D), one per class; classes are equally likely.
        deviations: of the same shape, or one number.
        prediction: as `DenoiserConfig.prediction`.
        steps: T of the noise schedule.
    """

    def __init__(self, means: Tensor, deviations: Tensor | float, prediction: str = "sample", steps: int = 1000):
        super().__init__()
        classes, tokens, latent_dim = means.shape
        self.means = nn.Parameter(means.clone())
        self.deviations = torch.as_tensor(deviations).expand(means.shape)
        self.config = SimpleNamespace(
            prediction=prediction, steps=steps, classes=classes, tokens=tokens, latent_dim=latent_dim
        )
        self.shape = (tokens, latent_dim)
        self.horizon = 1.0 if prediction == "velocity" else float(steps)
        self.abar = (1 - torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)).cumprod(0)
        self.calls: list[int] = []

    def level(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """(a, s) of each instance, (B, 1, 1)."""
        if self.config.prediction == "velocity":
            a, s = 1 - time, time
        else:
            assert torch.equal(time, time.round()), "a time between the steps of training"
            a, s = self.abar[time.long()].sqrt(), (1 - self.abar[time.long()]).sqrt()
        return a.float()[:, None, None], s.float()[:, None, None]

    def clean(self, noisy: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """E[x_0 | x_t, label]."""
        a, s = (n.unsqueeze(1) for n in self.level(time))  # (B, 1, 1, 1)
        variance = a**2 * self.deviations**2 + s**2  # (B, K, R, D)
        offset = noisy.unsqueeze(1) - a * self.means
        answers = self.means + a * self.deviations**2 / variance * offset
        weights = (-offset**2 / (2 * variance) - variance.log() / 2).sum((2, 3)).softmax(1)  # (B, K)
        labelled = nn.functional.one_hot(label.clamp(max=self.config.classes - 1), self.config.classes).to(weights)
        weights = torch.where((label < self.config.classes)[:, None], labelled, weights)
        return (weights[:, :, None, None] * answers).sum(1)

    def forward(self, noisy: Tensor, time: Tensor, label: Tensor) -> Tensor:
        self.calls.append(len(noisy))
        a, s = self.level(time)
        clean = self.clean(noisy, time, label)
        e = (noisy - a * clean) / s
        return {"sample": clean, "epsilon": e, "v_prediction": a * e - s * clean, "velocity": e - clean}[
            self.config.prediction
        ]


class CorrelatedDenoiser(nn.Module):
    """One Gaussian of mean 0 over all R D numbers together: E[x_0 | x_t] = a C (a^2 C + s^2 I)^-1 x_t.

    Args:
        covariance: C, (R D, R D).
        tokens: R.
        prediction, steps: as `MixtureDenoiser`.
    """

    def __init__(self, covariance: Tensor, tokens: int, prediction: str = "sample", steps: int = 1000):
        super().__init__()
        self.covariance = nn.Parameter(covariance)
        one = MixtureDenoiser(torch.zeros(1, tokens, len(covariance) // tokens), 1.0, prediction, steps)
        self.config, self.horizon, self.shape, self.level = one.config, one.horizon, one.shape, one.level

    def forward(self, noisy: Tensor, time: Tensor, label: Tensor) -> Tensor:
        a, s = (n[0, 0, 0] for n in self.level(time))
        spread = a**2 * self.covariance + s**2 * torch.eye(len(self.covariance))
        clean = (noisy.flatten(1) @ torch.linalg.solve(spread, a * self.covariance)).view_as(noisy)
        e = (noisy - a * clean) / s
        return {"sample": clean, "epsilon": e, "v_prediction": a * e - s * clean, "velocity": e - clean}[
            self.config.prediction
        ]
