"""The findings as one HTML file: pictures inside it, no network, no other file; light and dark, wide and narrow.

Pictures are embedded without loss (WebP), so what a reader compares is what the model gave, rounded to 8 bits. Without
JavaScript every picture is there; with it photograph and reconstruction lie over each other and can be enlarged.
"""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from tokenfield.demo.findings import Findings
from tokenfield.demo.fresh import Fresh
from tokenfield.demo.sheets import token_pictures
from tokenfield.demo.template import SCRIPT, STYLE
from tokenfield.evaluation.figures import COLOURS, heat, to_pil
from tokenfield.io.atomic import written_aside


def write_page(path: Path, found: Findings) -> None:
    """Writes the page, whole or not at all."""
    with written_aside(path) as file:
        file.write(page(found).encode())


def page(found: Findings) -> str:
    """The page as text."""
    sections = [opening(found), reconstructions(found), zooming(found), locality(found)]
    if found.fresh is not None:
        sections.append(training(found.fresh))
    sections.append(about(found))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>tokenfield: photographs as tokens</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(sections)
        + f"\n</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def opening(found: Findings) -> str:
    """Three sentences and the numbers that matter."""
    rate, cell, first = found.mean("values_per_pixel_value"), found.model["cell"], found.returns[0].score
    width = first.values_stored // first.tokens
    numbers = [
        (f"{found.mean('psnr'):.1f} dB", "mean PSNR of what came back"),
        (f"{rate:.2f}", "values stored per value of the photograph"),
        (f"{middle(found, 'encode_seconds'):.2f} s", "to encode a photograph (median)"),
        (f"{middle(found, 'decode_seconds'):.2f} s", "to decode it (median)"),
        (f"{100 * found.area:.1f} %", "of the area holds 90 % of what a token changes"),
    ]
    facts = "".join(f"<div><dt>{escape(what)}</dt><dd>{escape(value)}</dd></div>" for value, what in numbers)
    return (
        "<h1>Photographs as tokens</h1>\n"
        '<p class="lead">A trained model looked once at each photograph below and wrote it down as tokens, '
        f"{width} numbers for about every {cell} x {cell} pixels: {rate:.2f} for each value the photograph has. "
        "Tokens and a decoder that all photographs share are a continuous function of the position: asked at the "
        "photograph's own pixels it gives the photograph back, asked in between it gives it at any zoom. "
        "Take a token away, and only the place that it governs changes.</p>\n"
        f'<dl class="facts">{facts}</dl>'
    )


def reconstructions(found: Findings) -> str:
    """Photograph against reconstruction, and the table."""
    items = []
    for result in found.returns:
        score = result.score
        numbers = f"{score.psnr:.2f} dB · {score.tokens:,} tokens · {score.values_stored:,} values"
        pictures = (result.photograph, "photograph"), (result.reconstruction, "from tokens")
        items.append(pair(title(score.name), numbers, *pictures))
    return (
        "<h2>There and back</h2>\n"
        "<p>Move the line: on its left the photograph, on its right what was rendered from its tokens. The photographs "
        "come with scikit-image, and nothing that ships with this package was trained on them.</p>\n"
        + stage(items, "photograph", "from tokens", gain=found.gain)
        + table(found)
    )


def table(found: Findings) -> str:
    """The numbers of every photograph."""
    pca = found.returns[0].score.pca_psnr is not None
    heads = ["photograph", "pixels", "tokens", "values", "PSNR dB", *(["PCA dB"] if pca else []), "8-bit dB", "SSIM",
             "encode s", "decode s"]
    rows = []
    for result in found.returns:
        s = result.score
        rows.append([title(s.name), f"{s.width} x {s.height}", f"{s.tokens:,}", f"{s.values_stored:,}", f"{s.psnr:.2f}",
                     *([f"{s.pca_psnr:.2f}"] if s.pca_psnr is not None else []), f"{s.psnr_8bit:.2f}", f"{s.ssim:.4f}",
                     f"{s.encode_seconds:.2f}", f"{s.decode_seconds:.2f}"])
    mean = ["mean", "", "", "", f"{found.mean('psnr'):.2f}", *([f"{found.mean('pca_psnr'):.2f}"] if pca else []),
            f"{found.mean('psnr_8bit'):.2f}", f"{found.mean('ssim'):.4f}", f"{found.mean('encode_seconds'):.2f}",
            f"{found.mean('decode_seconds'):.2f}"]
    body = "".join(f"<tr>{cells(row)}</tr>" for row in rows) + f'<tr class="mean">{cells(mean)}</tr>'
    head = "".join(f"<th>{name}</th>" for name in heads)
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'
        '<p class="hint">PSNR by the papers\' protocol: per picture, float32, neither clamped nor rounded. PCA: what '
        "principal components of 8 x 8 cells give when they store no more values, the floor of any learned code. "
        f"On the centre crops of 256 pixels, the protocol of the README, the mean is <b>{found.protocol_psnr:.2f} dB"
        "</b>.</p>"
    )


def zooming(found: Findings) -> str:
    """The whole photograph at 4x, a detail at 16x."""
    zoom, half = found.zoom, found.half_size
    assert zoom is not None and half is not None, "the page is written after the zoom"
    item = pair(title(zoom.name), f"{zoom.seconds:.1f} s to render",
                (zoom.whole_bicubic, "bicubic"), (zoom.whole, "from tokens"))
    size = f"{zoom.pixels.shape[2]} x {zoom.pixels.shape[1]}"
    panels = [
        picture(zoom.pixels, "the pixels of a detail", f"<b>Pixels</b> {size}, as they are", "exact"),
        picture(zoom.detail_bicubic, "bicubic", f"<b>Bicubic</b> {zoom.detail_factor}x, from pixels"),
        picture(zoom.detail, "from tokens", f"<b>Field</b> {zoom.detail_factor}x, from tokens"),
    ]
    return (
        f"<h2>Any zoom</h2>\n<p>The same tokens, asked at {zoom.factor} times as many positions along each side: "
        "on the left bicubic interpolation of the pixels, on the right the field. Where the truth is known, that is "
        "when photographs are encoded at half their size and rendered at their own, the field is at "
        f"<b>{half.psnr:.2f} dB</b>, from {found.mean('values_per_pixel_value'):.2f} numbers per value, and bicubic "
        f"interpolation, from all values, at {half.bicubic_psnr:.2f} dB (means of {half.pictures}).</p>\n"
        + stage([item], f"bicubic {zoom.factor}x", f"field {zoom.factor}x")
        + f'\n<div class="row three">{"".join(panels)}</div>'
    )


def locality(found: Findings) -> str:
    """Which region each of several tokens governs."""
    parts = []
    for one in found.governed:
        places, regions = token_pictures(one)
        parts.append(picture(places, f"{title(one.name)}, places of {len(one.boxes)} tokens", title(one.name)))
        parts.append(picture(regions, "regions of these tokens", "regions"))
        for influence, colour in zip(one.influences, COLOURS, strict=False):
            name = ", ".join(map(str, influence.token))
            label = f'<i style="background:{colour}"></i>{100 * influence.area:.2f} %'
            parts.append(picture(heat(influence.map), f"region of token {name}", label))
    count, sampled = len(found.governed[0].influences), sum(len(one.areas) for one in found.governed)
    return (
        "<h2>What a token governs</h2>\n"
        "<p>One token at a time is replaced by zero; the maps show how much that changes, rescaled to a maximum of 1, "
        f"for the same {count} tokens in every photograph (shrunk before it was encoded, so that a token's place can "
        "be seen). Below each map stands the area, as a share of the whole, of the smallest set of pixels that holds "
        f"90 % of the change: small is local. Over {sampled} tokens the mean is <b>{100 * found.area:.2f} %</b>, "
        f"{found.shares:.2f} times what each token would have if they shared the area equally.</p>\n"
        f'<div class="row tokens" style="--columns: {count + 2}">{"".join(parts)}</div>'
    )


def training(fresh: Fresh) -> str:
    """The fresh model learning."""
    last = fresh.snapshots[-1]
    parts = [picture(fresh.photograph, "photograph", "<b>Photograph</b> never seen in this training")]
    for shot in fresh.snapshots:
        label = f"<b>{shot.seconds:.1f} s</b> step {shot.step:,}, {shot.psnr:.2f} dB"
        parts.append(picture(shot.reconstruction, f"after {shot.seconds:.1f} seconds", label))
    return (
        f"<h2>A fresh model, {last.seconds:.0f} seconds old</h2>\n"
        f"<p>While you waited, a small LAINR ({fresh.parameters:,} parameters, the locality-aware model of the paper "
        f"on tiles) was trained from random weights on {len(fresh.trained_on)} other photographs: crops, encoder, "
        "decoder, loss, optimiser, checkpoints, and at each picture below a stop and a resume. It ends at "
        f"<b>{last.psnr:.2f} dB</b> on a photograph that it never saw, with {fresh.values_per_pixel_value:.2f} values "
        "stored for each of the photograph's; a model that is meant for use is trained for hours.</p>\n"
        f'<div class="row shots">{"".join(parts)}</div>\n{curve(fresh)}'
    )


def curve(fresh: Fresh, width: int = 640, height: int = 240) -> str:
    """The learning curve as SVG in the page's own colours."""
    batches = smoothed(fresh.curve)
    points = [*batches, *fresh.held_out]
    longest = max(seconds for seconds, _ in points) or 1.0
    low = 5 * int(min(psnr for _, psnr in points) // 5)
    high = 5 * (int(max(psnr for _, psnr in points) // 5) + 1)

    def at(seconds: float, psnr: float) -> str:
        return f"{seconds / longest * width:.1f},{height * (high - psnr) / (high - low):.1f}"

    def line(curve: Sequence[tuple[float, float]], name: str) -> str:
        return f'<polyline class="{name}" points="{" ".join(at(*point) for point in curve)}"/>'

    grid = []
    for level in range(low, high + 1, 5):
        y = f"{height * (high - level) / (high - low):.1f}"
        grid.append(f'<line class="grid" x1="0" x2="{width}" y1="{y}" y2="{y}"/>'
                    f'<text x="-8" y="{y}" dy=".32em" text-anchor="end">{level}</text>')
    dots = []
    for seconds, psnr in fresh.held_out:
        x, y = at(seconds, psnr).split(",")
        beside = 'dx=".8em" dy=".35em"' if seconds == 0 else 'dy="-.8em" text-anchor="middle"'
        dots.append(f'<circle class="dot" cx="{x}" cy="{y}" r="4"/><text class="value" x="{x}" y="{y}" {beside}>'
                    f"{psnr:.1f}</text>")
    return (
        f'<svg viewBox="-34 -16 {width + 60} {height + 48}" role="img" aria-label="learning curve">'
        f"{''.join(grid)}{line(batches, 'batches')}{line(fresh.held_out, 'unseen')}{''.join(dots)}"
        f'<text x="0" y="{height + 24}">0 s</text>'
        f'<text x="{width}" y="{height + 24}" text-anchor="end">{longest:.0f} s</text>'
        f'<text x="{width / 2:.0f}" y="{height + 24}" text-anchor="middle">PSNR in dB over seconds of training: '
        "thin, the training batches; dots, the unseen photograph</text></svg>"
    )


def about(found: Findings) -> str:
    """Where the numbers come from, and how to get them again."""
    from tokenfield.evaluation.environment import machine, versions

    model, where = found.model, machine()
    side = max(max(result.score.height, result.score.width) for result in found.returns)
    rows = {
        "model": f"{model['origin'] or model['name']}: {model['name']}, {model['parameters']:,} parameters",
        "its hash": model["hash"],
        "machine": f"{where['device']}, {where['name']}, {where['threads']} threads",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "photographs": f"those inside the scikit-image package; of each the middle, at most {side} x {side} pixels",
        "files": ", ".join(found.files),
        "again": "tokenfield demo",
    }
    entries = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    return f'<div class="about"><dl>{entries}</dl></div>'


def pair(name: str, numbers: str, first: tuple[Tensor, str], second: tuple[Tensor, str]) -> str:
    """Two pictures of one size for a stage."""
    images = [embed(image, f"{name}, {what}") for image, what in (first, second)]
    return (
        f'<figure data-numbers="{escape(numbers)}"><button type="button" aria-label="show {escape(name)}">{images[0]}'
        f'<span class="second">{images[1]}</span></button><figcaption>{escape(name)}</figcaption></figure>'
    )


def stage(items: Sequence[str], first: str, second: str, *, gain: int = 0) -> str:
    """Where two pictures lie over each other; with a gain, their difference can be seen, too."""
    modes = (
        '<span class="set"><button type="button" data-mode="compare" aria-pressed="true">compare</button>'
        '<button type="button" data-mode="difference" aria-pressed="false">difference</button></span>'
        f'<label class="gain" hidden>x <output>{gain}</output>'
        f'<input type="range" min="1" max="64" value="{gain}"></label>'
    )
    zooms = "".join(f'<button type="button" data-zoom="{n}" aria-pressed="{str(n == 1).lower()}">{n}x</button>'
                    for n in (1, 2, 4, 8))
    return (
        f'<div class="stage"><div class="view"><div class="layer"><img class="under" alt=""><img class="over" alt="">'
        f'</div><span class="tag a">{escape(first)}</span><span class="tag b">{escape(second)}</span>'
        f'<div class="rule"></div></div><div class="controls">{modes if gain else ""}<span class="set">{zooms}</span>'
        '<label class="divide">line <input type="range" min="0" max="100" value="50" step="any"></label>'
        f'<span class="numbers"></span></div><div class="strip{" single" if len(items) == 1 else ""}">'
        f'{"".join(items)}</div></div>'
    )


def picture(image: Tensor, alt: str, caption: str, kind: str = "") -> str:
    """A picture with a caption, which may hold markup."""
    return f"<figure>{embed(image, alt, kind)}<figcaption>{caption}</figcaption></figure>"


def embed(image: Tensor, alt: str, kind: str = "") -> str:
    """An `img` element that holds the picture itself."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "WEBP", lossless=True, quality=20, method=2)  # a fifth below PNG, and as fast
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width = image.shape[1:]
    attributes = f'alt="{escape(alt)}" width="{width}" height="{height}"' + (f' class="{kind}"' if kind else "")
    return f'<img {attributes} src="data:image/webp;base64,{data}">'


def cells(row: Sequence[str]) -> str:
    """Table cells."""
    return "".join(f"<td>{escape(cell)}</td>" for cell in row)


def smoothed(points: Sequence[tuple[float, float]], most: int = 160) -> list[tuple[float, float]]:
    """At most `most` points, each the mean of as many neighbours as it takes."""
    size = -(-len(points) // most) or 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def middle(found: Findings, what: str) -> float:
    """Median over the photographs."""
    ranked = sorted(getattr(result.score, what) for result in found.returns)
    return (ranked[(len(ranked) - 1) // 2] + ranked[len(ranked) // 2]) / 2


def title(name: str) -> str:
    """`hubble_deep_field` for people."""
    return name.replace("_", " ")


def escape(text: str) -> str:
    """Text as HTML."""
    return html.escape(text)
