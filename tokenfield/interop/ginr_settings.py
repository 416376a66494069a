"""Every entry of a ginr-ipc configuration: of `arch` its default there and what of it is implemented here too."""

from tokenfield.interop.settings import Setting, free, must_be, only, optional, required

SECTIONS = (
    "arch",
    "dataset.type",
    *(f"dataset.transforms.{name}" for name in ("type", "normalize", "random_crop", "scale")),
    *(f"dataset.transforms.{name}" for name in ("total_secs", "patch_secs", "sampling_rate")),
    *(f"dataset.train_config.{name}" for name in ("split", "n_support", "n_query", "repeat", "views_range")),
    *("dataset.val_config", "trainer", "loss", "optimizer", "experiment", "seed", "runtime", "result_path"),
)
"""What the whole YAML may hold, also as their trainer writes it beside its checkpoints. The data set's section is read
for sizes; those after it matter to training alone."""

FOURIER = "hyponet.fourier_mapping"

HYPONET = {
    **required("type", "hyponet.hidden_dim"),
    **optional({"hyponet.n_layer": 5, f"{FOURIER}.ff_sigma": 1024, f"{FOURIER}.ff_dim": 128}),
    **only({"hyponet.type": "mlp", "hyponet.use_bias": True, "hyponet.activation.type": "relu",
            "hyponet.normalize_weight": True, f"{FOURIER}.trainable": False, f"{FOURIER}.use_ff": True}),
    **free("ema", "hyponet.activation.siren_w0", "hyponet.initialization.weight_init_type",
           "hyponet.initialization.bias_init_type", "coord_sampler.train_strategy", "coord_sampler.val_strategy",
           "modulated_layer_idxs"),
}  # fmt: skip
"""The MLP."""

ENCODER = {
    **required("transformer.n_layer", "transformer.block.n_head", "n_weight_groups"),
    **optional({"data_encoder.encoder_spec.patch_size": 9, "data_encoder.encoder_spec.padding": 1,
                "latent_mapping.n_patches": 400, "latent_mapping.latent_dim": 256, "transformer.embed_dim": 768}),
    **only({"data_encoder.type": "unfold", "latent_mapping.type": "linear", "latent_mapping.use_pe": True,
            "transformer.mask": False, "transformer.block.mlp_bias": True, "transformer.block.attn_bias": True,
            "transformer.block.gelu": "v1"}),
    **free("data_encoder.trainable", "latent_mapping.n_layer", "latent_mapping.activation", "latent_mapping.hidden_dim",
           "transformer.block.embed_dim", "transformer.block.attn_pdrop", "transformer.block.resid_pdrop"),
}  # fmt: skip
"""The transformer and the tokens. The width of a block is replaced there by the transformer's."""

PICTURES = {
    **optional({"hyponet.output_dim": 3}),
    **only({"hyponet.input_dim": 2, "hyponet.output_bias": 0.5, f"{FOURIER}.type": "deterministic_transinr",
            "coord_sampler.data_type": "image"}),
    **must_be({"coord_sampler.coord_range": [-1.0, 1.0]}),
}  # fmt: skip
"""What it is used for: pictures."""

RADIANCE = {
    **only({"data_encoder.n_channel": 9, "hyponet.input_dim": 3, "hyponet.output_dim": 4, "hyponet.output_bias": 0.0,
            f"{FOURIER}.type": "deterministic_transinr_nerf", "coord_sampler.data_type": "nvs"}),
    **free("coord_sampler.coord_range", "coord_sampler.num_points_per_ray"),
}  # fmt: skip
"""What it is used for: points in space, which lie on rays between near and far; how many is a matter of rendering."""

ADAPTATION = {
    **required("rank"),
    **optional({"n_inner_step": 2, "inner_lr": 0.01, "use_factorization": True}),
    **only({"ignore_base_param": True}),
}
"""Learned Init, which has no encoder."""

ENCODED_PICTURES = HYPONET | ENCODER | PICTURES | {"data_encoder.n_channel": Setting(3)}
ENCODED_VIEWS = HYPONET | ENCODER | RADIANCE
ADAPTED_PICTURES = HYPONET | PICTURES | ADAPTATION
