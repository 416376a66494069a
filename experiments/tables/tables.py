"""The tables: rows, the published run that each row stands for, and the published number beside it.

Published numbers are LAINR's (NeurIPS 2023), tables 1 to 7 and figure 1; `None` where a paper gives none.
"""

from dataclasses import replace

from experiments.factorial import rows as factorial
from experiments.race import rows as race
from experiments.race.recipes import SIZES
from experiments.tables import optimized, views
from experiments.tables.rows import Row, Table
from tokenfield.errors import UserError

LAINR, IPC = Row("LAINR", "lainr-ablation", 37.46), Row("IPC", "ipc-ablation", 34.11)
"""The first and the last row of Tables 3, 4 and 7: ImageNette 178, one head, 400 epochs."""

OTHERS = (
    Row("Learned Init, equal values", "learned-init-imagenette-178", changes={"dim": 128, "feature_dim": 128},
        small={"dim": 45, "feature_dim": 46}, extra=True),
    Row("ANR", "anr-photos-178", extra=True),
    Row("ANR + multi-band head", "anr-photos-178-multiband", extra=True),
    Row("LAINR + localized attention", "lainr-photos-178-localized", extra=True),
    Row("anchored, random start", "anchored-photos-64-random", extra=True),
    Row("anchored, from the linear code", "anchored-photos-64", extra=True),
    Row("Functa", "functa-photos-64", extra=True),
    Row("Spatial Functa", "spatial-functa-photos-64", extra=True),
    Row("switched", "switched-photos-ladder", extra=True),
    Row("GB-LSR", "gb-lsr-photos-64", extra=True),
    Row("LIIF, a feature per pixel", "liif-photos-64", extra=True),
)
"""Systems that Table 1 does not have, beside it."""


def _systems(dataset: str, learned_init: float | None, trans_inr: float, ipc: float, lainr: float) -> tuple[Row, ...]:
    rows = [Row("Learned Init", f"learned-init-{dataset}-178", learned_init)] if learned_init else []
    rows += [Row("TransINR", f"trans-inr-{dataset}-178", trans_inr), Row("IPC", f"ipc-{dataset}-178", ipc)]
    return (*rows, Row("LAINR", f"lainr-{dataset}-178", lainr))


def _resolution(size: int, rivals: dict[str, float], bands: tuple[float, ...]) -> tuple[Row, ...]:
    names = {"TransINR": "trans-inr", "IPC": "ipc"}
    rows = [Row(f"{label}, {size}", f"{names[label]}-ffhq-{size}", psnr) for label, psnr in rivals.items()]
    for count, psnr in enumerate(bands, 1):
        suffix = "" if count == 2 else f"-l{count}"
        rows.append(Row(f"LAINR L = {count}, {size}", f"lainr-ffhq-{size}{suffix}", psnr))
    return tuple(rows)


def _sizes() -> tuple[Row, ...]:
    """Representation sizes: tokens, widths and depths of ANR, tokens of LAINR and IPC, weight columns of TransINR.

    The rivals are LAINR's here; on ANR's own hyper-network, for its 37.95 dB, they are rows of table `anr`.
    """
    rows = []
    for count in (64, 128, 256):
        label = f"ANR, R = {count}" + (" (D5)" if count == 256 else "")
        rows.append(Row(label, "anr-photos-178", changes={"num_latents": count}))
    for count in (64, 128, 256):
        rows.append(Row(f"LAINR, R = {count}", "lainr-ablation", changes={"num_latents": count}))
    for count in (64, 128, 256):
        rows.append(Row(f"IPC, R = {count}", "ipc-ablation", changes={"num_latents": count}))
    for groups in (32, 64, 128):
        rows.append(Row(f"TransINR, mod{groups}", "trans-inr-imagenette-178", changes={"groups": groups}))
    rows.append(Row("ANR, hidden 128", "anr-photos-178", changes={"dim": 128}))
    for depth in (1, 3, 6, 2, 4):
        rows.append(Row(f"ANR, D{depth}", "anr-photos-178", changes={"depth": depth}))
    return tuple(rows)


def _depths() -> tuple[Row, ...]:
    """Blocks of the anchored model's encoder, at the ladder's five rates, from the linear code."""
    return tuple(
        Row(f"1/{96 * 2 // values}, {depth} blocks", "anchored-photos-64",
            changes={"latent_dim": values, "encoder_depth": depth}, extra=True)
        for values in (96, 48, 24, 12, 6)
        for depth in (0, 1, 3, 6)
    )


WITHOUT_STA = Row("w/o STA", "composed-ablation", 34.54)
WITHOUT_MULTIBAND = Row("w/o multiFM", "lainr-ablation-without-multiband", 33.90)
BANDWIDTHS = (
    Row("(32, 128), 16", "lainr-ablation-sigmas-rising", 35.00),
    Row("(128, 128), 16", "lainr-ablation-sigmas-equal", 35.30),
    Row("(128, 32), 128", "lainr-ablation-sigma-q-high", 35.58),
)
LINEAR = (
    Row("w/o linear Eq. 6", "lainr-ablation-linear-frequency", 31.95),
    Row("w/o linear Eq. 7", "lainr-ablation-linear-modulation", 32.07),
    Row("w/o both", "lainr-ablation-linear-both", 31.57),
)

TABLES: dict[str, Table] = {
    "1": Table(
        "Systems at 178 pixels",
        (*_systems("imagenette", 27.07, 29.77, 38.46, 46.10), *OTHERS),
        "Table 1, ImageNette",
        expected="LAINR above IPC above TransINR above Learned Init",
        reference="LAINR",
    ),
    "1-celeba": Table(
        "Systems at 178 pixels",
        _systems("celeba", 30.37, 33.33, 35.93, 50.74),
        "Table 1, CelebA",
        expected="LAINR above IPC above TransINR above Learned Init",
        reference="LAINR",
    ),
    "1-ffhq": Table(
        "Systems at 178 pixels",
        _systems("ffhq", None, 33.66, 37.18, 43.32),
        "Table 1, FFHQ",
        expected="LAINR above IPC above TransINR",
        reference="LAINR",
    ),
    "2": Table(
        "Resolutions and number of bands",
        (
            *_resolution(256, {"TransINR": 30.96, "IPC": 34.68}, (37.09, 39.88, 40.13, 39.79)),
            *_resolution(512, {"TransINR": 29.35, "IPC": 31.58}, (34.84, 35.43, 35.58, 35.40)),
            *_resolution(1024, {"IPC": 28.68}, (31.56, 31.94, 32.40, 32.32)),
        ),
        "Tables 2 and 6, FFHQ",
        expected="LAINR above IPC above TransINR at every size; L = 3 above 2 and 4 above 1",
    ),
    "3": Table(
        "Both halves of the decoder",
        (LAINR, WITHOUT_STA, WITHOUT_MULTIBAND, replace(IPC, label="IPC (w/o both)")),
        "Table 3, ImageNette",
        expected="either half alone gains little over IPC, both together 3.4 dB",
        reference="LAINR",
    ),
    "3-ffhq": Table(
        "Both halves of the decoder",
        (
            Row("LAINR", "lainr-ablation-ffhq-256", 38.01),
            Row("w/o STA", "composed-ablation-ffhq-256", 34.52),
            Row("w/o multiFM", "lainr-ablation-ffhq-256-without-multiband", 33.65),
            Row("IPC (w/o both)", "ipc-ffhq-256", 34.68),
        ),
        "Table 3, FFHQ 256",
        expected="either half alone gains nothing over IPC, both together 3.3 dB",
        reference="LAINR",
    ),
    "3-lamps": views.lamps_table(),
    "4": Table(
        "Bandwidths of the bands and of the queries",
        (replace(LAINR, label="(128, 32), 16"), *BANDWIDTHS, IPC),
        "Table 4, ImageNette",
        expected="falling bandwidths with a low query bandwidth above all others, by 1.9 dB and more",
        reference="(128, 32), 16",
    ),
    "7": Table(
        "Linear layers of Eq. 6 and 7",
        (LAINR, *LINEAR),
        "Table 7, ImageNette",
        expected="5 dB less without either",
        reference="LAINR",
    ),
    "figure-1": Table(
        "PSNR while training",
        (
            replace(LAINR, published=38.72),
            replace(LAINR, label="LAINR, published start", published=None, changes={"start": "published"},
                    small={"start": "published"}, extra=True),
            replace(IPC, published=38.46),
        ),
        "Figure 1, ImageNette: LAINR after 400 epochs, IPC after 4000",
        figure="curves",
        expected="LAINR at IPC's final PSNR in an eighth of the steps",
        reference="LAINR",
    ),
    "figure-5": Table(
        "Where a token acts",
        (LAINR, IPC),
        "Table 3 for PSNR; Figures 5 and 12 are pictures without numbers",
        figure="locality",
        expected="the tokens of LAINR act on smaller areas than those of IPC",
        reference="LAINR",
    ),
    "figure-7": optimized.figure_7_table(),
    "locality": Table(
        "How local tokens are",
        (LAINR, WITHOUT_MULTIBAND, *BANDWIDTHS, *LINEAR, WITHOUT_STA, IPC),
        "Tables 3, 4 and 7 for PSNR",
        figure="locality",
        reference="LAINR",
    ),
    "heads": Table(
        "Heads of the attention",
        tuple(Row(f"{n} head{'s' * (n > 1)}", "lainr-ablation", changes={"heads": n}, small={"heads": n})
              for n in (1, 2, 4, 8)),
        "nowhere; the paper has 1 head in Tables 3, 4 and 7, 2 at 178 pixels, 4 at 512, 8 on ImageNet",
        reference="1 head",
    ),
    "depth": Table(
        "Blocks of the anchored encoder at five rates",
        _depths(),
        "nowhere: the anchored model is this project's own",
        expected="the lower the rate, the more blocks help",
    ),
    "factorial": factorial.factorial_table(),
    "race": race.race_table(*SIZES),
    **{f"race-{size}": race.race_table(size) for size in SIZES},
    "anr": Table(
        "ANR and the MLPs on its hyper-network",
        (
            Row("ANR, D5", "anr-celeba-128", 47.25),
            Row("TransINR, D6, mod128", "anr-trans-inr-celeba-128", 37.95),
            Row("IPC, D6, mod128", "anr-ipc-celeba-128", 37.95),
        ),
        "ANR (ECCV 2024), CelebA 128; 37.95 dB is its best MLP-based system's, and it does not say which of the two",
        expected="ANR above IPC and TransINR",
        reference="ANR, D5",
    ),
    "sizes": Table(
        "PSNR against values stored per picture",
        _sizes(),
        "ANR (ECCV 2024) states it of CelebA 128: 47.25 dB against 37.95 dB for the best MLP-based system",
        expected="ANR above IPC and TransINR at fewer values stored",
    ),
}
"""What `python -m experiments.tables` can run."""

ALIASES = {"2/6": "2", "6": "2", "2-6": "2", "figure-12": "figure-5", "fig1": "figure-1", "fig5": "figure-5",
           "fig7": "figure-7"}


def find_table(name: str) -> tuple[str, Table]:
    """A table by its name. Raises UserError naming those that there are."""
    key = ALIASES.get(name, name)
    if key not in TABLES:
        raise UserError(f"no table is called {name!r}; there are: {', '.join(TABLES)}")
    return key, TABLES[key]
