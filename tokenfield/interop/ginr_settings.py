"""Every entry of a ginr-ipc configuration: of `arch` its default there and what of it is implemented here too."""

from tokenfield.interop.settings import Setting

REQUIRED = Setting()
FREE = Setting(None)
"""Does not matter to a trained model, or is read by nothing there."""

SECTIONS = (
    "arch",
    "dataset.type",
    *(f"dataset.transforms.{name}" for name in ("type", "normalize", "random_crop", "scale")),
    *(f"dataset.transforms.{name}" for name in ("total_secs", "patch_secs", "sampling_rate")),
    *(f"dataset.train_config.{name}" for name in ("split", "n_support", "n_query", "repeat", "views_range")),
    "dataset.val_config",
    "trainer",
    "loss",
    "optimizer",
    "experiment",
    "seed",
    "runtime",
    "result_path",
)
"""What the whole YAML may hold, also as their trainer writes it beside its checkpoints. The data set's section is read
for sizes; those below it matter to training alone."""

HYPONET = {
    "type": REQUIRED,
    "ema": FREE,
    "hyponet.type": Setting("mlp", ("mlp",)),
    "hyponet.n_layer": Setting(5),
    "hyponet.hidden_dim": REQUIRED,
    "hyponet.use_bias": Setting(True, (True,)),
    "hyponet.fourier_mapping.trainable": Setting(False, (False,)),
    "hyponet.fourier_mapping.use_ff": Setting(True, (True,)),
    "hyponet.fourier_mapping.ff_sigma": Setting(1024),
    "hyponet.fourier_mapping.ff_dim": Setting(128),
    "hyponet.activation.type": Setting("relu", ("relu",)),
    "hyponet.activation.siren_w0": FREE,
    "hyponet.initialization.weight_init_type": FREE,
    "hyponet.initialization.bias_init_type": FREE,
    "hyponet.normalize_weight": Setting(True, (True,)),
    "coord_sampler.train_strategy": FREE,
    "coord_sampler.val_strategy": FREE,
    "modulated_layer_idxs": FREE,
}
"""The MLP."""

ENCODER = {
    "data_encoder.type": Setting("unfold", ("unfold",)),
    "data_encoder.trainable": FREE,
    "data_encoder.encoder_spec.patch_size": Setting(9),
    "data_encoder.encoder_spec.padding": Setting(1),
    "latent_mapping.type": Setting("linear", ("linear",)),
    "latent_mapping.n_patches": Setting(400),
    "latent_mapping.n_layer": FREE,
    "latent_mapping.activation": FREE,
    "latent_mapping.hidden_dim": FREE,
    "latent_mapping.latent_dim": Setting(256),
    "latent_mapping.use_pe": Setting(True, (True,)),
    "transformer.n_layer": REQUIRED,
    "transformer.embed_dim": Setting(768),
    "transformer.mask": Setting(False, (False,)),
    "transformer.block.embed_dim": FREE,  # replaced there by the one above
    "transformer.block.n_head": REQUIRED,
    "transformer.block.mlp_bias": Setting(True, (True,)),
    "transformer.block.attn_bias": Setting(True, (True,)),
    "transformer.block.attn_pdrop": FREE,
    "transformer.block.resid_pdrop": FREE,
    "transformer.block.gelu": Setting("v1", ("v1",)),
    "n_weight_groups": REQUIRED,
}
"""The transformer and the tokens."""

PICTURES = {
    "hyponet.input_dim": Setting(2, (2,)),
    "hyponet.output_dim": Setting(3),
    "hyponet.output_bias": Setting(0.5, (0.5,)),
    "hyponet.fourier_mapping.type": Setting("deterministic_transinr", ("deterministic_transinr",)),
    "coord_sampler.data_type": Setting("image", ("image",)),
    "coord_sampler.coord_range": Setting(only=([-1.0, 1.0],)),
}
"""What it is used for: pictures."""

RADIANCE = {
    "data_encoder.n_channel": Setting(9, (9,)),
    "hyponet.input_dim": Setting(3, (3,)),
    "hyponet.output_dim": Setting(4, (4,)),
    "hyponet.output_bias": Setting(0.0, (0.0,)),
    "hyponet.fourier_mapping.type": Setting("deterministic_transinr_nerf", ("deterministic_transinr_nerf",)),
    "coord_sampler.data_type": Setting("nvs", ("nvs",)),
    "coord_sampler.coord_range": FREE,  # points lie on rays, between near and far
    "coord_sampler.num_points_per_ray": FREE,  # of rendering, not of the field
}
"""What it is used for: points in space."""

ADAPTATION = {
    "n_inner_step": Setting(2),
    "inner_lr": Setting(0.01),
    "rank": REQUIRED,
    "use_factorization": Setting(True),
    "ignore_base_param": Setting(True, (True,)),
}
"""Learned Init, which has no encoder."""

ENCODED_PICTURES = HYPONET | ENCODER | PICTURES | {"data_encoder.n_channel": Setting(3)}
ENCODED_VIEWS = HYPONET | ENCODER | RADIANCE
ADAPTED_PICTURES = HYPONET | PICTURES | ADAPTATION
