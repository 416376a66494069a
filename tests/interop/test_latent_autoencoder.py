"""Field models behind diffusers' interface, and metrics behind torchmetrics'."""

import pytest
import torch

from tokenfield import metrics
from tokenfield.coords import Grid
from tokenfield.interop.latent_autoencoder import LatentAutoencoder
from tokenfield.interop.torchmetrics import MeanPsnr, MeanSsim
from tokenfield.models.anchored import AnchoredConfig
from tokenfield.models.lainr import LainrConfig

LATTICE = AnchoredConfig(latent_dim=5, encoder_dim=32, decoder_dim=32, start="random")
SET = LainrConfig(size=(12, 12), patch=4, padding=0, num_latents=3, latent_dim=7, encoder_dim=8, encoder_depth=1, dim=8,
                  encoder_heads=1, heads=1, feature_dim=8, sigmas=(4.0, 2.0), sigma_q=2.0)


@pytest.mark.parametrize(("config", "size", "latents"), [(LATTICE, (16, 24), (2, 5, 2, 3)), (SET, (12, 12), (2, 3, 7))])
def test_autoencoder(config, size, latents):
    torch.manual_seed(0)
    model = config.build().eval()
    pictures = torch.rand(2, 3, *size)
    autoencoder = LatentAutoencoder.fit(model, [pictures[:1], pictures[1:]])
    encoded = autoencoder.encode(2 * pictures - 1)
    z = encoded.latent_dist.sample() * autoencoder.config.scaling_factor
    assert z.shape == latents and autoencoder.config.latent_channels == (5 if len(latents) == 4 else 7)
    torch.testing.assert_close(encoded.latents, encoded.latent_dist.mode())
    back = autoencoder.decode(z / autoencoder.config.scaling_factor).sample
    assert back.shape == pictures.shape
    plain = model(pictures, Grid.cells(*size)).mT.unflatten(-1, size)
    torch.testing.assert_close(back, 2 * plain - 1, rtol=1e-4, atol=1e-4)
    assert autoencoder.decode(z, size=(7, 5)).sample.shape == (2, 3, 7, 5)


def test_a_pipeline_of_diffusers_draws_by_it():
    from diffusers import DDIMScheduler, LDMPipeline, UNet2DModel

    network = UNet2DModel(2, 5, 5, layers_per_block=1, block_out_channels=(4,), down_block_types=("DownBlock2D",),
                          up_block_types=("UpBlock2D",), norm_num_groups=1, attention_head_dim=1)
    pipeline = LDMPipeline(LatentAutoencoder(LATTICE.build().eval()), network, DDIMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline(num_inference_steps=1, output_type="np").images.shape == (1, 16, 16, 3)


def test_latents_are_standardised():
    torch.manual_seed(0)
    pictures = torch.rand(7, 3, 16, 24)
    z = LatentAutoencoder.fit(LATTICE.build().eval(), [pictures]).encode(2 * pictures - 1).latents
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(5), atol=1e-3, rtol=0)


def test_metrics_are_means_over_pictures():
    """Whatever the batches, and after the logarithm."""
    torch.manual_seed(0)
    prediction, target = torch.rand(5, 3, 13, 11), torch.rand(5, 3, 13, 11)
    for metric, function in ((MeanPsnr(), metrics.psnr), (MeanSsim(), metrics.ssim)):
        for part in (slice(0, 2), slice(2, 5)):
            metric.update(prediction[part], target[part])
        assert metric.compute().item() == pytest.approx(function(prediction, target).mean().item(), rel=1e-5)
        metric.reset()
        assert metric.compute().isnan()
