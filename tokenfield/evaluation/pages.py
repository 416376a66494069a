"""Pages of one file, without network: templates of `assets/`, with style, script and pictures inside.

Pictures are embedded without loss (WebP), so what a reader compares is what the model gave, rounded to 8 bits.
"""

import base64
import io
import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from tokenfield.io.atomic import write_whole

ASSETS = Path(__file__).parent / "assets"
"""What pages of all kinds share: `page.html`, which others extend, and `page.css`."""


def write_page(path: Path, template: Path, **values: object) -> None:
    """Fills a template and writes the page, whole or not at all."""
    write_whole(path, render(template, **values))


def render(template: Path, **values: object) -> str:
    """A template filled with the values that it names, all of them; text is escaped, `Markup` is not.

    The template and those beside it may extend `page.html`, and include styles and scripts by `asset(NAME)`.
    """
    loader = FileSystemLoader([template.parent, ASSETS])
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True,
                              undefined=StrictUndefined)
    environment.globals["asset"] = lambda name: Markup(loader.get_source(environment, name)[0])
    return environment.get_template(template.name).render(**values) + "\n"


def script_data(data: object) -> Markup:
    """JSON for a script element of a page: nothing in it, such as a picture's name, can end or open an element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def data_address(image: Image.Image, *, quality: int = 20, method: int = 2) -> str:
    """An 8-bit picture without loss as a data address.

    `quality` and `method` say how hard WebP looks for a smaller file: a fifth below PNG, and as fast.
    """
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", lossless=True, quality=quality, method=method)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
