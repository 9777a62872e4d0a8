"""Draws configs/tasks/images/sticker.png, the picture of the README's first command.

python3 tests/goldens/gen/sticker.py   (Pillow, NumPy)
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 256
SCALE = 4
TARGET = Path(__file__).parents[3] / "configs/tasks/images/sticker.png"


def shaded(mask, light, dark, focus):
    """The colour `light` at `focus`, turning to `dark` away from it, inside `mask`."""
    size = mask.size[0]
    y, x = np.mgrid[0:size, 0:size] / size
    far = np.clip(np.hypot(x - focus[0], y - focus[1]) / 0.75, 0, 1)[..., None] ** 1.5
    colour = np.array(light) * (1 - far) + np.array(dark) * far
    picture = Image.fromarray(colour.astype(np.uint8)).convert("RGBA")
    picture.putalpha(mask)
    return picture


def shape(draw):
    size = SIDE * SCALE
    mask = Image.new("L", (size, size), 0)
    draw(ImageDraw.Draw(mask), lambda *values: [value * SCALE for value in values])
    return mask


def main():
    picture = Image.new("RGBA", (SIDE * SCALE,) * 2, (0, 0, 0, 0))

    def lay(draw, light, dark, focus=(0.4, 0.3), blur=0):
        mask = shape(draw)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * SCALE))
        picture.alpha_composite(shaded(mask, light, dark, focus))

    lay(lambda d, s: d.ellipse(s(20, 20, 236, 236), fill=255), (255, 226, 92), (240, 150, 20))
    for x in (66, 190):
        lay(lambda d, s: d.ellipse(s(x - 24, 138, x + 24, 172), fill=110), (255, 110, 80),
            (255, 110, 80), blur=6)
    for x in (92, 164):
        lay(lambda d, s: d.ellipse(s(x - 21, 76, x + 21, 128), fill=255), (255, 255, 255),
            (235, 235, 240))
        lay(lambda d, s: d.ellipse(s(x - 11, 88, x + 13, 120), fill=255), (90, 56, 40), (50, 28, 20))
        lay(lambda d, s: d.ellipse(s(x - 3, 92, x + 6, 102), fill=255), (255,) * 3, (255,) * 3)
        lay(lambda d, s: d.arc(s(x - 24, 48, x + 24, 84), 205, 335, fill=255, width=6 * SCALE),
            (150, 84, 20), (130, 70, 16))
    lay(lambda d, s: d.chord(s(76, 104, 180, 206), 12, 168, fill=255), (150, 30, 50), (110, 16, 36))
    lay(lambda d, s: d.chord(s(100, 168, 156, 206), 8, 172, fill=255), (250, 110, 130),
        (235, 90, 110))
    picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS).save(TARGET, optimize=True)


if __name__ == "__main__":
    main()
