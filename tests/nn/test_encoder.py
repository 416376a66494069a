"""The encoder's transformer: pruning its last block is exact, and the learned latents are a set."""

import pytest
import torch
from tensors import normal

from tokenfield.nn.attention import Block, Transformer
from tokenfield.nn.encoder import LatentEncoder, patchify


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_keeping_the_last_outputs_is_exact(depth):
    transformer = Transformer(12, depth=depth, num_heads=3).double()
    x = normal(2, 11, 12)
    torch.testing.assert_close(transformer(x, keep=5), transformer(x)[:, -5:], rtol=0, atol=1e-12)


def test_blocks_are_pre_norm_with_residuals():
    block = Block(12, num_heads=3).double()
    with torch.no_grad():
        for layer in (block.attention.out, block.mlp[2]):
            layer.weight.zero_()
            layer.bias.zero_()
    x = normal(2, 5, 12)
    torch.testing.assert_close(block(x), x)


def test_blocks_are_equivariant_to_the_order_of_tokens():
    transformer = Transformer(12, depth=2, num_heads=3).double()
    x, order = normal(2, 7, 12), torch.tensor([5, 2, 0, 6, 1, 4, 3])
    torch.testing.assert_close(transformer(x[:, order]), transformer(x)[:, order])


def make_encoder():
    encoder = LatentEncoder(patch_dim=6, num_patches=7, num_latents=5, latent_dim=3, dim=12, depth=2, num_heads=3)
    return encoder.double()


def test_latents_follow_the_order_of_the_learned_tokens():
    encoder, patches, order = make_encoder(), normal(2, 7, 6), torch.tensor([4, 2, 0, 1, 3])
    before = encoder(patches)
    assert before.shape == (2, 5, 3)
    with torch.no_grad():
        encoder.latents.copy_(encoder.latents[order])
    torch.testing.assert_close(encoder(patches), before[:, order])


def test_instances_of_a_batch_do_not_meet():
    encoder, patches = make_encoder(), normal(3, 7, 6)
    alone = torch.cat([encoder(patch[None]) for patch in patches])
    torch.testing.assert_close(encoder(patches), alone)


@pytest.mark.parametrize(("size", "patch", "padding"), [((6, 10), 2, 0), ((7, 13), 3, 1), ((178, 178), 9, 1)])
def test_patches_put_back_are_the_picture(size, patch, padding):
    images = normal(2, 3, *size)
    patches = patchify(images, patch, padding)
    rows, columns = ((side + 2 * padding) // patch for side in size)
    assert patches.shape == (2, rows * columns, 3 * patch**2)
    again = torch.nn.functional.fold(patches.mT, size, patch, padding=padding, stride=patch)
    torch.testing.assert_close(again, images, rtol=0, atol=0)


def test_patches_are_row_major_and_channel_major_inside():
    images = normal(1, 3, 4, 6)
    patches = patchify(images, 2)
    torch.testing.assert_close(patches[0, 4], images[0, :, 2:4, 2:4].flatten())  # second row, second column


def test_sizes_that_are_no_whole_number_of_patches():
    with pytest.raises(ValueError, match="5 x 6"):
        patchify(normal(1, 3, 5, 6), 2)
