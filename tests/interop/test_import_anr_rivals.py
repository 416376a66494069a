"""Checkpoints of ANR's rivals: their equations written here once more, step by step, with their names and shapes."""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from tokenfield.coords import Grid
from tokenfield.errors import UserError
from tokenfield.interop.anr import PROJECT
from tokenfield.interop.checkpoints import import_checkpoint
from tokenfield.models import pretrained
from tokenfield.models.anr_rivals import HyperIpcConfig, HyperTransInrConfig
from tokenfield.registry import RECIPES
from tokenfield.views.models.radiance import HyperIpcRadianceConfig, HyperTransInrRadianceConfig

B, WIDTH, HEADS, HEAD, HIDDEN, DEPTH, GROUPS, PATCH, PE = 2, 14, 3, 5, 12, 3, 4, 5, 6
SIZE, VIEW = (11, 13), (10, 10)
PICTURES = {"in_dim": 2, "out_dim": 3, "out_bias": 0, "pe_sigma": 1024}
KINDS = {  # its MLP, grouping, arguments, coordinates
    "trans-inr": ("HypoMlp", "mlp", {**PICTURES, "activation": "relu"}, 2, HyperTransInrConfig),
    "ipc": ("HypoMlpIPC", "mlp_mod", {**PICTURES, "modulated_layer_id": 1}, 2, HyperIpcConfig),
    "trans-inr-radiance": ("hypo_nerf", "mlp", {"use_viewdirs": False, "pe_sigma": 512}, 3,
                           HyperTransInrRadianceConfig),
    "ipc-radiance": ("HypoMlpIPC", "mlp_mod", PICTURES | {"in_dim": 3, "out_dim": 4, "pe_sigma": 512}, 3,
                     HyperIpcRadianceConfig),
}  # fmt: skip


def their_config(kind):
    """The YAML, in the form of their published ones."""
    mlp, grouping, args, axes, _ = KINDS[kind]
    transformer = {"dim": WIDTH, "depth": 2, "n_head": HEADS, "head_dim": HEAD, "ff_dim": 17, "dropout": 0.0}
    cut = {"input_size": list(SIZE), "padding": 1} if axes == 2 else {"input_size": VIEW[0]}
    network = {
        "n_groups": GROUPS, "direct_wtoken": False, "grouping_mode": grouping,
        "tokenizer": {"name": "ImgTokenizer" if axes == 2 else "nvs_tokenizer",
                      "args": cut | {"patch_size": PATCH, "dim": WIDTH}},
        "hyponet": {"name": mlp, "args": {"depth": DEPTH, "hidden_dim": HIDDEN, "use_pe": True, "pe_dim": PE} | args},
        "tinr_enc": {"name": "TInrEncoder", "args": transformer | {"shortcut_every": 0}},
        "tinr_dec": {"name": "TInrDecoder", "args": transformer},
    }  # fmt: skip
    return {"hyper_network": ["HyperNetwork", network], "train_target": "image" if axes == 2 else "nerf"}


def layers(kind):
    """Name, fan-in and fan-out of every layer."""
    axes, out = KINDS[kind][3], 3 if KINDS[kind][3] == 2 else 4
    names = [f"wb{i}" for i in range(DEPTH)]
    if kind == "trans-inr-radiance":
        names[-1] = "rgb_density_fc"
    widths = [axes * PE, *[HIDDEN] * (DEPTH - 1), out]
    return list(zip(names, widths[:-1], widths[1:], strict=True))


def their_state(kind):
    """Random tensors under their names."""
    draw, state = torch.Generator().manual_seed(3), {}

    def put(name, *shape, scale=1.0):
        state[name] = scale * torch.randn(*shape, generator=draw)

    def linear(name, fan_in, fan_out, bias=True):
        put(f"{name}.weight", fan_out, fan_in, scale=fan_in**-0.5)
        if bias:
            put(f"{name}.bias", fan_out, scale=0.1)

    def norm(name):
        put(f"{name}.weight", WIDTH)
        put(f"{name}.bias", WIDTH, scale=0.1)

    def block(name, attentions):
        for k in range(attentions + 1):
            norm(f"{name}.{k}.norm")
        for k in range(attentions):
            linear(f"{name}.{k}.fn.to_q", WIDTH, HEADS * HEAD, bias=False)
            linear(f"{name}.{k}.fn.to_kv", WIDTH, 2 * HEADS * HEAD, bias=False)
            linear(f"{name}.{k}.fn.to_out.0", HEADS * HEAD, WIDTH)
        linear(f"{name}.{attentions}.fn.net.0", WIDTH, 17)
        linear(f"{name}.{attentions}.fn.net.3", 17, WIDTH)

    axes, composed = KINDS[kind][3], kind.startswith("ipc")
    linear("tokenizer.prefc", PATCH**2 * (3 if axes == 2 else 9), WIDTH)
    if axes == 2:
        put("tokenizer.posemb", 2 * 3, WIDTH)
    for i in range(2):
        block(f"tinr_enc.layers.{i}", 1)
        block(f"tinr_dec.hypobuilder.{i}", 2)
    count = 0
    for i, (name, fan_in, fan_out) in enumerate(layers(kind)):
        rows = min(GROUPS, fan_out)
        if composed and i != 1:
            put(f"hyponet.global_params.{name}", fan_in + 1, fan_out, scale=fan_in**-0.5)
            continue
        put(f"base_params.{name}", (rows if composed else fan_in) + 1, fan_out)
        norm(f"wtoken_postfc.{name}.0")
        linear(f"wtoken_postfc.{name}.1", WIDTH, fan_in)
        count += rows
    put("wtokens", count, WIDTH)
    state = {f"hypernet.{name}": tensor for name, tensor in state.items()}
    inside = "hypernet.hyponet."
    return state | {f"hypo_model.{n.removeprefix(inside)}": t for n, t in state.items() if n.startswith(inside)}


class Theirs:
    """The equations of their hyper-network and MLPs, in the type of the state."""

    def __init__(self, kind, state):
        self.kind, self.axes = kind, KINDS[kind][3]
        self.state = {name.removeprefix("hypernet."): tensor for name, tensor in state.items()}

    def linear(self, name, x):
        y = x @ self.state[f"{name}.weight"].T
        return y + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else y

    def norm(self, name, x):
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attend(self, name, x, to):
        q = self.linear(f"{name}.to_q", x).unflatten(-1, (HEADS, HEAD))
        k, v = (part.unflatten(-1, (HEADS, HEAD)) for part in self.linear(f"{name}.to_kv", to).chunk(2, -1))
        weights = (torch.einsum("bihd,bjhd->bhij", q, k) * HEAD**-0.5).exp()
        weights = weights / weights.sum(-1, keepdim=True)
        return self.linear(f"{name}.to_out.0", torch.einsum("bhij,bjhd->bihd", weights, v).flatten(-2))

    def forward_part(self, name, x):
        hidden = self.linear(f"{name}.net.0", x)
        return self.linear(f"{name}.net.3", hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2)

    def rows(self, images):
        """Pictures in [-1, 1] or views with rays, (B, [V,] C, H, W) -> matrices (B, fan-in + 1, fan-out) per layer."""
        views = images[:, None] if self.axes == 2 else images
        padding = 1 if self.axes == 2 else 0
        patches = torch.cat([F.unfold(view, PATCH, stride=PATCH, padding=padding).mT for view in views.unbind(1)], 1)
        data = self.linear("tokenizer.prefc", patches)
        if self.axes == 2:
            data = data + self.state["tokenizer.posemb"]
        for i in range(2):
            at = f"tinr_enc.layers.{i}"
            normed = self.norm(f"{at}.0.norm", data)
            data = data + self.attend(f"{at}.0.fn", normed, normed)
            data = data + self.forward_part(f"{at}.1.fn", self.norm(f"{at}.1.norm", data))
        tokens = self.state["wtokens"].expand(len(data), -1, -1)
        for i in range(2):
            at = f"tinr_dec.hypobuilder.{i}"
            normed = self.norm(f"{at}.0.norm", tokens)
            tokens = tokens + self.attend(f"{at}.0.fn", normed, normed)
            tokens = tokens + self.attend(f"{at}.1.fn", self.norm(f"{at}.1.norm", tokens), data)
            tokens = tokens + self.forward_part(f"{at}.2.fn", self.norm(f"{at}.2.norm", tokens))
        return self.matrices(tokens)

    def matrices(self, tokens):
        matrices, start = [], 0
        for i, (name, _, fan_out) in enumerate(layers(self.kind)):
            if self.kind.startswith("ipc") and i != 1:
                matrices.append(self.state[f"hyponet.global_params.{name}"].expand(len(tokens), -1, -1))
                continue
            rows, base = min(GROUPS, fan_out), self.state[f"base_params.{name}"]
            own = tokens[:, start : start + rows]
            own = self.linear(f"wtoken_postfc.{name}.1", self.norm(f"wtoken_postfc.{name}.0", own)).mT
            start += rows
            if self.kind.startswith("ipc"):
                weight = own @ base[:-1]
            else:  # column j is multiplied by the row j mod g, then has norm 1 over fan-in
                weight = base[:-1] * torch.stack([own[..., j % rows] for j in range(fan_out)], -1)
                weight = weight / weight.square().sum(1, keepdim=True).sqrt()
            matrices.append(torch.cat([weight, base[-1:].expand(len(own), 1, -1)], 1))
        return matrices

    def values(self, matrices, coords):
        """Coordinates (Q, X) in their type -> (B, Q, C)."""
        sigma, steps = (1024 if self.axes == 2 else 512), PE // 2
        exponents = torch.linspace(0, math.log(sigma), steps, dtype=coords.dtype)
        omega = 2**exponents if self.kind == "trans-inr-radiance" else exponents.exp()
        phase = (coords[..., None] * omega).flatten(-2)
        phase = phase if self.kind == "trans-inr-radiance" else math.pi * phase
        x = torch.cat([phase.cos(), phase.sin()], -1).expand(len(matrices[0]), -1, -1)
        for i, matrix in enumerate(matrices):
            x = torch.cat([x, torch.ones_like(x[..., :1])], -1) @ matrix
            x = x.relu() if i < DEPTH - 1 else x
        return x


def inputs(kind):
    """What is encoded, and coordinates."""
    draw = torch.Generator().manual_seed(5)
    if KINDS[kind][3] == 2:
        cells = [-1 + 2 * ((0.5 + torch.arange(n)) / n) for n in (7, 19)]
        return torch.rand(B, 3, *SIZE, generator=draw), torch.cartesian_prod(*cells)
    return torch.randn(B, 3, 9, *VIEW, generator=draw), torch.rand(31, 3, generator=draw) * 2 - 1


def expected(kind, state, images, coords):
    theirs, pictures = Theirs(kind, state), KINDS[kind][3] == 2
    values = theirs.values(theirs.rows(2 * images - 1 if pictures else images), coords)
    return (values + 1) / 2 if pictures else values


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_their_equations_in_float64(kind):
    state, (images, coords) = their_state(kind), inputs(kind)
    model = PROJECT.read({"model": state}, their_config(kind))
    assert type(model.config) is KINDS[kind][4] and model.config.rounding == "ginr-ipc"
    exact = replace(model.config, rounding="exact").build().double()
    exact.load_state_dict(model.state_dict())
    images, coords = images.double(), coords.double()
    values = exact.decode(exact.encode(images), coords)
    state = {name: tensor.double() for name, tensor in state.items()}
    torch.testing.assert_close(values, expected(kind, state, images, coords), rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_their_rounding_in_float32(kind, tmp_path):
    """As `tokenfield import` reads it, and after it was saved and loaded in this library's format."""
    torch.save({"step": 1, "model": their_state(kind)}, tmp_path / "theirs.pt")
    (tmp_path / "theirs.yaml").write_text(str(their_config(kind)))
    model, (images, coords) = import_checkpoint(tmp_path / "theirs.pt"), inputs(kind)
    reference = expected(kind, their_state(kind), images, coords)
    loaded = pretrained.load(pretrained.save(model, tmp_path / "ours"))
    for one in (model, loaded):
        values = one.decode(one.encode(images), coords)
        torch.testing.assert_close(values, reference, rtol=2e-6, atol=2e-6 * reference.abs().max().item())
    if KINDS[kind][3] == 2:
        grid = Grid.cells(7, 19)
        torch.testing.assert_close(model.decode(model.encode(images), grid), values, rtol=2e-6, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("trans-inr", "grouping_mode", "mlp_mod", "grouping_mode is 'mlp_mod'; only 'mlp'"),
        ("ipc", "grouping_mode", "mlp", "grouping_mode is 'mlp'; only 'mlp_mod'"),
        ("trans-inr", "direct_wtoken", True, "direct_wtoken is True"),
        ("trans-inr", "hyponet.args.activation", "sine", "activation is 'sine'; only 'relu'"),
        ("ipc", "hyponet.args.activation", "tanh", "activation is 'tanh'"),
        ("ipc", "hyponet.args.modulated_layer_id", 3, r"modulated layers \(3,\) of depth 3"),
        ("trans-inr-radiance", "hyponet.args.use_viewdirs", True, "use_viewdirs is True"),
        ("trans-inr", "hyponet.args.out_dim", 4, "out_dim 4 and tokenizer.args.img_channels 3 differ"),
        ("trans-inr", "hyponet.args.in_dim", 3, "tokenizer.name ImgTokenizer with hyponet.args.in_dim 3"),
        ("trans-inr", "n_groups", 5, "5 groups do not divide a layer of 12 outputs"),
        ("ipc", "hyponet.args.depth", 0, "depth is 0"),
        ("ipc", "hyponet.args.pe_sgima", 3, "did you mean 'hyponet.args.pe_sigma'"),
    ],
)
def test_other_configurations_are_named(kind, path, value, said):
    config = copy.deepcopy(their_config(kind))
    *outer, last = path.split(".")
    inner = config["hyper_network"][1]
    for key in outer:
        inner = inner[key]
    inner[last] = value
    with pytest.raises(UserError, match=said):
        PROJECT.read({"model": their_state(kind)}, config)


def test_the_recipes_have_the_sizes_of_their_published_configurations():
    """n_groups 128, depth 6, hidden 512, pe_dim 256 (128 in space) per coordinate, sigma 1024 (512)."""
    names = ["anr-trans-inr-celeba-128", "anr-ipc-celeba-128", "views-anr-trans-inr-cars", "views-anr-ipc-cars"]
    models = {name: RECIPES[name]().model for name in names}
    assert {(m.depth, m.dim, m.encoder_dim, m.encoder_heads, m.encoder_hidden) for m in models.values()} == {
        (6, 512, 512, 6, 3072)}
    assert [m.feature_dim for m in models.values()] == [2 * 256, 2 * 256, 3 * 128, 3 * 128]
    assert [getattr(m, "groups", None) or m.num_latents for m in models.values()] == [128] * 4
    with torch.device("meta"):
        built = [m.build() for m in models.values()]
    assert [len(m.encoder.latents) for m in built] == [5 * 128 + 3, 128, 5 * 128 + 4, 128]
    assert built[2].net.features.sigma == pytest.approx(2 ** math.log(512)) and built[3].net.features.sigma == 512
    for name in names[2:]:
        recipe = RECIPES[name]()
        assert (recipe.steps, recipe.batch_size, recipe.objective.rays, recipe.optim.rate) == (100_000, 18, 512, 5e-5)
