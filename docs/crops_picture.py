"""The crops in the README: of each photograph the original and what two codecs make of it, a row for each rate.

    clic compare PHOTOGRAPHS --out DIR --codec avif,tune=ssim --codec clic
    python docs/crops_picture.py DIR PHOTOGRAPHS docs/result.jpg NAME:LEFT,TOP ...

The codecs stand in the order of the comparison. Under each crop stand the whole image's bits per pixel and MS-SSIM.
"""

import sys
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from harness.images import list_images, load_rgb
from harness.scores.aggregate import decibels

SIDE, GAP, LINE = 184, 6, 22
INK, PAPER = (29, 29, 27), (251, 251, 249)


def main(folder: Path, originals: Path, picture: Path, *crops: str) -> None:
    """Write the picture of a comparison's folder."""
    scores = pd.read_csv(folder / "scores.csv", dtype={"rate": str})
    codecs, rates = list(dict.fromkeys(scores["codec"])), list(dict.fromkeys(scores["rate"]))
    sources = {source.name: source.path for source in list_images(originals)}
    columns = len(crops) * (1 + len(codecs))
    size = (columns * (SIDE + GAP) - GAP, len(rates) * (SIDE + LINE))
    whole, font = Image.new("RGB", size, PAPER), ImageFont.load_default(13)
    pen = ImageDraw.Draw(whole)
    for place, crop in enumerate(crops):
        name, corner = crop.split(":")
        left, top = map(int, corner.split(","))
        box = (left, top, left + SIDE, top + SIDE)
        for row, rate in enumerate(rates):
            shown = [("original", sources[name])]
            for codec in codecs:
                chosen = scores[(scores["codec"] == codec) & (scores["rate"] == rate) & (scores["image"] == name)].iloc[
                    0
                ]
                label = (
                    f"{codec.split(',')[0]}: {chosen['bpp']:.3f} bpp, {decibels(chosen['msssim_competition']):.1f} dB"
                )
                shown.append((label, next((folder / "decoded").glob(f"{codec}-????????/{rate}/{name}.png"))))
            for column, (label, path) in enumerate(shown):
                x, y = (place * len(shown) + column) * (SIDE + GAP), row * (SIDE + LINE)
                whole.paste(Image.fromarray(load_rgb(path)).crop(box), (x, y))
                pen.text((x + 1, y + SIDE + 3), label, INK, font)
    whole.save(picture, quality=90)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *sys.argv[4:])
