"""What checkpoints of Roninton/ANR have in common: the hyper-network's settings, sizes and tensors."""

from tokenfield.errors import UserError
from tokenfield.interop.settings import Setting, Settings, free, must_be, only, optional, required
from tokenfield.interop.tensors import From, Plan, block, weights_and_biases
from tokenfield.io.record import Record
from tokenfield.models.anr import HyperSizes

TRANSFORMERS = {"tinr_enc": "TInrEncoder", "tinr_dec": "TInrDecoder"}

COMMON = {
    **free("learned_sinusoidal_cond", "learned_sinusoidal_dim"),
    **free(*(f"{part}.args.dropout" for part in TRANSFORMERS)),
    **must_be({f"{part}.name": name for part, name in TRANSFORMERS.items()}),
    **required(*(f"{part}.args.{size}" for part in TRANSFORMERS
                 for size in ("dim", "depth", "n_head", "head_dim", "ff_dim"))),
    **required("tokenizer.name", *(f"tokenizer.args.{name}" for name in ("input_size", "patch_size", "dim"))),
    **optional({"tokenizer.args.padding": 0, "tokenizer.args.img_channels": 3}),
    **only({"use_timetoken": False}), "tinr_enc.args.shortcut_every": Setting(2, (0,)),
}  # fmt: skip
"""Arguments of their hyper-network beside the decoder's, their defaults there, and what is implemented here."""

PLACES = {"ImgTokenizer": 2, "nvs_tokenizer": 3}
"""Coordinates of what a tokenizer cuts: pictures, and points of views."""


def check_channels(settings: Settings, axes: int, channels: int) -> None:
    """Raises UserError unless the decoder's coordinates and values fit what is encoded."""
    tokenizer, colours = settings["tokenizer.name"], settings["tokenizer.args.img_channels"]
    if PLACES.get(tokenizer) != axes:
        kinds = " or ".join(f"{name} with {number}" for name, number in PLACES.items())
        raise UserError(f"tokenizer.name {tokenizer} with hyponet.args.in_dim {axes} is not known; {kinds} are")
    if axes == 3 and (channels, colours) != (4, 3):
        raise UserError(f"views of {colours} channels, points of {channels}: RGB, RGB with density are implemented")
    if axes == 2 and channels != colours:
        raise UserError(f"hyponet.args.out_dim {channels} and tokenizer.args.img_channels {colours} differ")


def whole_numbers(args: Record, *names: str) -> None:
    """Raises UserError unless these arguments of the decoder are numbers from 1."""
    for name in names:
        if type(args[name]) is not int or args[name] < 1:
            raise UserError(f"hyper_network.hyponet.args.{name} is {args[name]!r}; a whole number from 1 is accepted")


def network_sizes(settings: Settings) -> Record:
    """The fields of a configuration that `HyperSizes` has."""
    return _encoder(settings) | _patches(settings)


def _encoder(settings: Settings) -> Record:
    """The fields that say what transformer it has; encoder and decoder have the same widths here."""
    encoder, decoder = settings.inside("tinr_enc.args"), settings.inside("tinr_dec.args")
    for size in ("dim", "n_head", "head_dim", "ff_dim"):
        if encoder[size] != decoder[size]:
            raise UserError(f"tinr_enc.args.{size} {encoder[size]} and tinr_dec.args.{size} {decoder[size]} differ; "
                            "here they are one")
    if settings["tokenizer.args.dim"] != encoder["dim"]:
        raise UserError("tokenizer.args.dim and tinr_enc.args.dim differ; they must agree")
    return {
        "encoder_dim": encoder["dim"],
        "encoder_depth": encoder["depth"],
        "decoder_depth": decoder["depth"],
        "encoder_heads": encoder["n_head"],
        "encoder_head_dim": encoder["head_dim"],
        "encoder_hidden": encoder["ff_dim"],
    }


def _patches(settings: Settings) -> Record:
    """The fields that say what it is cut into; there one number stands for both axes, or a pair has one per axis."""
    pairs = {}
    for name in ("input_size", "patch_size", "padding"):
        value = settings[f"tokenizer.args.{name}"]
        pair = (value, value) if isinstance(value, int) else value
        if not isinstance(pair, list | tuple) or [type(side) for side in pair] != [int, int]:
            raise UserError(f"tokenizer.args.{name} is {value!r}; a number or a pair of numbers is accepted")
        if name != "input_size" and pair[0] != pair[1]:
            raise UserError(f"tokenizer.args.{name} {list(pair)}: one number for both axes is implemented here")
        pairs[name] = pair[0], pair[1]
    size, (patch, _), (padding, _) = pairs.values()
    rest = any((side + 2 * padding) % patch for side in size)  # beyond the last whole patch: not encoded there either
    return {"size": size, "patch": patch, "padding": padding, "drop_rest": rest}


def network_plan(config: HyperSizes, positions: bool) -> Plan:
    """Where the tensors of the hyper-network come from, without those that make tokens of its outputs."""
    plan: Plan = weights_and_biases({"encoder.embed": "tokenizer.prefc"}) | {"encoder.latents": From("wtokens")}
    if positions:  # views have rays instead
        plan["encoder.position"] = From("tokenizer.posemb")
    for i in range(config.encoder_depth):
        plan |= block(f"encoder.encoder.{i}", f"tinr_enc.layers.{i}", ("attention", "mlp"))
    for i in range(config.decoder_depth):
        plan |= block(f"encoder.decoder.{i}", f"tinr_dec.hypobuilder.{i}", ("attention", "cross_attention", "mlp"))
    return plan
