"""Render the sample pictures and captions: ``python sample_data/render.py``.

Every picture shows one to three objects of one kind and colour, somewhere in one of six places;
scenes.toml holds the shapes, colours and phrases. All choices come from a fixed seed, so that
each run writes the same files beside this script.
"""

import io
import math
import random
import shutil
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tomllib
from PIL import Image, ImageDraw, ImageFilter

RGB = tuple[int, int, int]

ROOT = Path(__file__).resolve().parent
DATA = tomllib.loads((ROOT / "scenes.toml").read_text("utf-8"))
COLOURS: dict[str, RGB] = {name: (r, g, b) for name, (r, g, b) in DATA["colours"].items()}
GLASS, COAL, PAPER = (74, 88, 110), (44, 44, 52), (252, 252, 252)

SEED = 2024
ZOOM = 4  # everything is drawn this much larger, then scaled down
SCENES_PER_PAIR = 10  # scenes of each object in each colour
SUFFIXES = (".jpg", ".png", ".jpg", ".webp", ".jpg")
SIDES = (96, 112, 128, 144, 160)


class Scene(NamedTuple):
    """What a picture shows."""

    thing: str
    colour: str
    number: int
    position: str
    place: str


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Blend two colours; ``share`` is the part of the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def gradient(width: int, height: int, top: RGB, bottom: RGB) -> Image.Image:
    """Return a picture fading from ``top`` to ``bottom``."""
    rows = np.linspace(top, bottom, height)[:, None, :]
    return Image.fromarray(np.broadcast_to(rows, (height, width, 3)).round().astype(np.uint8))


def disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: RGB) -> None:
    """Fill a circle."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill)


def hill(img: Image.Image, level: float, swing: float, fill: RGB, rng: random.Random) -> None:
    """Fill everything below a wavy line at about ``level`` of the height."""
    phase, waves = rng.uniform(0, 6), rng.uniform(4, 9)
    xs = np.linspace(0, img.width, 60)
    ys = img.height * (level + swing * np.sin(phase + waves * xs / img.width))
    line = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
    ImageDraw.Draw(img).polygon([*line, (img.width, img.height), (0, img.height)], fill)


def clouds(img: Image.Image, fill: RGB, rng: random.Random) -> None:
    """Draw two or three clouds in the upper part."""
    draw, unit = ImageDraw.Draw(img), img.width / 22
    for _ in range(rng.randint(2, 3)):
        x, y = rng.uniform(0, img.width), rng.uniform(0.05, 0.35) * img.height
        for step in (-1.3, 0, 1.3):
            disc(draw, x + step * unit, y - (step == 0) * unit * 0.5, unit, fill)


def meadow(width: int, height: int, rng: random.Random) -> Image.Image:
    """Grass under a light sky."""
    img = gradient(width, height, (158, 208, 240), (232, 244, 250))
    clouds(img, (246, 250, 253), rng)
    hill(img, rng.uniform(0.5, 0.6), 0.03, (184, 214, 140), rng)
    hill(img, rng.uniform(0.66, 0.74), 0.03, (160, 198, 108), rng)
    draw = ImageDraw.Draw(img)
    for _ in range(26):
        x, y = rng.uniform(0, width), rng.uniform(0.78, 1.02) * height
        tip = (x + rng.uniform(-8, 8), y - rng.uniform(16, 40))
        draw.line((x, y, *tip), (112, 160, 70), ZOOM)
    return img


def beach(width: int, height: int, rng: random.Random) -> Image.Image:
    """Sea, waves and sand with pebbles."""
    img = gradient(width, height, (176, 224, 244), (236, 247, 250))
    clouds(img, (250, 252, 253), rng)
    horizon = rng.uniform(0.36, 0.46)
    hill(img, horizon, 0, (96, 186, 200), rng)
    draw = ImageDraw.Draw(img)
    for _ in range(9):
        x, y = rng.uniform(0, width), rng.uniform(horizon + 0.03, 0.62) * height
        draw.arc((x, y, x + 40, y + 14), 20, 160, (196, 232, 236), ZOOM)
    hill(img, 0.66, 0.025, (244, 250, 248), rng)
    hill(img, 0.69, 0.025, (240, 220, 172), rng)
    for _ in range(22):
        x, y = rng.uniform(0, width), rng.uniform(0.76, 1) * height
        disc(draw, x, y, rng.uniform(2, 5), (204, 178, 128))
    return img


def night(width: int, height: int, rng: random.Random) -> Image.Image:
    """A dark sky with a moon above a skyline with lit windows."""
    img = gradient(width, height, (12, 16, 48), (66, 62, 108))
    draw = ImageDraw.Draw(img)
    for _ in range(34):
        x, y = rng.uniform(0, width), rng.uniform(0, 0.7) * height
        disc(draw, x, y, rng.uniform(1.5, 4), (226, 226, 206))
    x, y, radius = rng.uniform(0.1, 0.9) * width, 0.15 * height, 0.055 * (width + height)
    disc(draw, x, y, radius, (238, 234, 208))
    disc(draw, x + radius * 0.5, y - radius * 0.2, radius * 0.85, (20, 24, 58))
    left = 0.0
    while left < width:
        right, roof = left + rng.uniform(28, 64), rng.uniform(0.62, 0.86) * height
        draw.rectangle((left, roof, right, height), (28, 28, 50))
        columns, rows = range(int(left) + 8, int(right) - 8, 14), range(int(roof) + 8, height, 18)
        for wx, wy in product(columns, rows):
            if rng.random() < 0.35:
                draw.rectangle((wx, wy, wx + 5, wy + 7), (206, 190, 130))
        left = right
    return img


def snow(width: int, height: int, rng: random.Random) -> Image.Image:
    """Hills under snow, firs and snowflakes."""
    img = gradient(width, height, (134, 156, 186), (196, 208, 224))
    hill(img, rng.uniform(0.54, 0.62), 0.04, (214, 224, 236), rng)
    draw = ImageDraw.Draw(img)
    for _ in range(rng.randint(4, 7)):
        x, y, tall = rng.uniform(0, width), 0.7 * height, rng.uniform(0.1, 0.2) * height
        for step in (0.0, 0.3, 0.6):
            half, foot = tall * (0.16 + step * 0.3), y - tall * (0.6 - step)
            draw.polygon((x, foot - tall * 0.45, x - half, foot, x + half, foot), (92, 112, 122))
    hill(img, rng.uniform(0.66, 0.7), 0.03, (236, 241, 248), rng)
    for _ in range(46):
        x, y = rng.uniform(0, width), rng.uniform(0, 1) * height
        disc(draw, x, y, rng.uniform(3, 6), (250, 252, 255))
    return img


def desert(width: int, height: int, rng: random.Random) -> Image.Image:
    """Dunes and cacti under a hazy sun."""
    img = gradient(width, height, (242, 214, 180), (252, 238, 212))
    draw = ImageDraw.Draw(img)
    sun = rng.uniform(0.1, 0.9) * width
    disc(draw, sun, 0.2 * height, 0.05 * (width + height), (255, 248, 226))
    for level, fill in ((0.54, (222, 190, 142)), (0.68, (208, 172, 122)), (0.82, (194, 156, 106))):
        hill(img, level, 0.05, fill, rng)
        x, y, tall = rng.uniform(0, 1) * width, (level + 0.08) * height, 0.17 * height
        for shape in ((x, y, x, y - tall), (x, y - tall / 3, x + 14, y - tall / 3)):
            draw.line(shape, (122, 140, 104), 3 * ZOOM)
        draw.line((x + 14, y - tall / 3 + 4, x + 14, y - tall * 0.75), (122, 140, 104), 2 * ZOOM)
    return img


def underwater(width: int, height: int, rng: random.Random) -> Image.Image:
    """Teal water with light from above, bubbles, weeds and a sandy floor."""
    img = gradient(width, height, (112, 206, 208), (14, 92, 116))
    rays = Image.new("L", img.size)
    for _ in range(4):
        x = rng.uniform(0, width)
        beam = (x, 0, x + 36, 0, x + rng.uniform(-40, 120), height, x - rng.uniform(0, 120), height)
        ImageDraw.Draw(rays).polygon(beam, 34)
    img.paste((240, 255, 250), mask=rays)
    hill(img, rng.uniform(0.84, 0.88), 0.02, (172, 176, 146), rng)
    draw = ImageDraw.Draw(img)
    for _ in range(8):
        x, y, bend = rng.uniform(0, width), rng.uniform(0.9, 1) * height, rng.uniform(5, 10)
        ys = np.arange(0, rng.uniform(0.14, 0.34) * height, 8)
        stem = [(x + bend * math.sin(step / 22), y - step) for step in ys.tolist()]
        draw.line(stem, (26, 112, 96), 2 * ZOOM, joint="curve")
    for _ in range(16):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, 0.85) * height, rng.uniform(5, 12)
        draw.arc((x, y, x + radius * 2, y + radius * 2), 0, 360, (190, 232, 234), 3)
    return img


PAINTERS = {paint.__name__: paint for paint in (meadow, desert, snow, beach, underwater, night)}


def sprite(scene: Scene, main: RGB, side: float, mirror: bool, angle: float) -> Image.Image:
    """Draw one object with a dark outline and a pale halo on a transparent square."""
    ink = mix(main, COAL, 0.75)
    tones = {"main": main, "light": mix(main, PAPER, 0.4), "dark": mix(main, ink, 0.25)}
    tones |= {"glass": GLASS, "coal": COAL, "paper": PAPER}
    img = Image.new("RGBA", (round(side * 1.3),) * 2, (*main, 0))
    draw = ImageDraw.Draw(img)
    for part in DATA["shapes"][scene.thing].splitlines():
        kind, tone, *numbers = part.split()
        xy, fill = [(int(n) / 100 + 0.15) * side for n in numbers], tones[tone]
        if kind == "ellipse":
            draw.ellipse(xy, fill)
        elif kind == "box":
            draw.rounded_rectangle(xy, side * 0.04, fill)
        elif kind == "polygon":
            draw.polygon(xy, fill)
        elif kind == "dome":
            draw.pieslice(xy, 180, 360, fill)
        elif kind == "hook":
            draw.arc(xy, 0, 180, fill, round(side * 0.04))
        elif kind == "ring":
            draw.arc(xy, 0, 360, fill, round(side * 0.1))
        else:
            draw.line(xy, fill, round(side * 0.035), joint="curve")
    pixels = np.asarray(img).astype(np.float64)
    pixels[..., :3] *= np.linspace(1.05, 0.94, img.height)[:, None, None]
    img = Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))
    if mirror:
        img = img.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    img = img.rotate(angle, Image.Resampling.BICUBIC)
    outline = img.getchannel("A").filter(ImageFilter.MaxFilter(2 * ZOOM + 1))
    halo = outline.filter(ImageFilter.MaxFilter(2 * ZOOM + 1))
    halo = halo.filter(ImageFilter.GaussianBlur(ZOOM / 2)).point([v // 2 for v in range(256)])
    below = [Image.new("RGB", img.size, fill) for fill in (PAPER, ink)]
    for layer, alpha in zip(below, (halo, outline), strict=True):
        layer.putalpha(alpha)
    return Image.alpha_composite(Image.alpha_composite(*below), img)


def layout(
    scene: Scene, width: int, height: int, rng: random.Random
) -> tuple[float, list[tuple[float, float]]]:
    """Return the side of the objects and their centres."""
    sideways = scene.position in ("left", "right")
    upright = sideways or (scene.position == "middle" and height > width)
    along, across = (height, width) if upright else (width, height)
    room, steps = 0.5 * across, scene.number - 1
    straight = min(room, 0.92 * along / scene.number)
    zigzag = min(room / 1.75, 0.92 * along / (1 + 0.66 * steps))
    side = min(max(straight, zigzag), 0.5 * min(width, height)) * rng.uniform(0.86, 1)
    pitch, swing = (0.66, 0.4) if zigzag > straight else (1, 0.06)
    anchor = {"left": 0.23, "top": 0.24, "middle": 0.5, "right": 0.77, "bottom": 0.76}
    flip = rng.choice((-1, 1))
    centres = []
    for index in range(scene.number):
        a = along / 2 + (index - steps / 2) * pitch * side + rng.uniform(-0.03, 0.03) * along
        shift = flip * (-1) ** index * swing * (steps > 0) * side
        b = across * anchor[scene.position] + shift + rng.uniform(-0.02, 0.02) * across
        a = min(max(a, 0.53 * side), along - 0.53 * side)
        b = min(max(b, 0.53 * side), across - 0.53 * side)
        centres.append((b, a) if upright else (a, b))
    return side, centres


def render(scene: Scene, rng: random.Random) -> Image.Image:
    """Paint a scene."""
    width, height = rng.choice(SIDES) * ZOOM, rng.choice(SIDES) * ZOOM
    img = PAINTERS[scene.place](width, height, rng)
    side, centres = layout(scene, width, height, rng)
    shade = mix(COLOURS[scene.colour], rng.choice((PAPER, COAL)), rng.uniform(0, 0.07))
    mirror = rng.random() < 0.5
    for x, y in centres:
        item = sprite(scene, shade, side * rng.uniform(0.92, 1), mirror, rng.uniform(-12, 12))
        img.paste(item, (round(x - item.width / 2), round(y - item.height / 2)), item)
    return img.resize((width // ZOOM, height // ZOOM), Image.Resampling.LANCZOS)


def encode(img: Image.Image, suffix: str) -> bytes:
    """Return the picture as the bytes of a file with that suffix."""
    buffer = io.BytesIO()
    if suffix.lower() == ".png":
        img.quantize(80, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    elif suffix.lower() == ".webp":
        img.save(buffer, "WEBP", quality=82)
    else:
        img.save(buffer, "JPEG", quality=85, optimize=True)
    return buffer.getvalue()


def article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def caption(template: str, scene: Scene, rng: random.Random) -> str:
    """Fill in a template and give it one of several styles of writing."""
    words, place = DATA["words"][scene.thing], DATA["places"][scene.place]
    single, verb = scene.number == 1, rng.choice(words["verbs"])
    things = scene.thing if single else words["plural"]
    named = f"{scene.colour} {things}"
    ones = (article(named), article(named), f"one {named}", f"a single {named}")
    twos = (f"two {named}", f"two {named}", f"2 {named}", f"a couple of {named}")
    threes = (f"three {named}", f"three {named}", f"3 {named}")
    text = template.format(
        many=rng.choice((ones, twos, threes)[scene.number - 1]),
        some=article(named) if single else named,
        plain=article(things) if single else things,
        things=things,
        colour=scene.colour,
        be="is" if single else "are",
        verb=f"{verb}s" if single else verb,
        pos=rng.choice(DATA["positions"][scene.position]),
        place=rng.choice(place["adverbs"]),
        view=rng.choice(place["views"]),
    )
    start = text[0].upper() if rng.random() < 0.6 else text[0]
    return start + text[1:] + rng.choices(("", ".", "!"), (45, 50, 5))[0]


def captions(scene: Scene, rng: random.Random) -> str:
    """Write two to five captions, at least one of which tells everything."""
    first, *others = rng.sample(DATA["captions"]["full"], 3)
    chosen = [first, *rng.sample(others + DATA["captions"]["partial"], rng.randint(1, 4))]
    rng.shuffle(chosen)
    return "".join(caption(template, scene, rng) + "\n" for template in chosen)


def scenes(rng: random.Random) -> list[Scene]:
    """Draw distinct scenes, equally many of each object in each colour, in random order."""
    deck = list(product((1, 2, 3), DATA["positions"], DATA["places"]))
    drawn: list[Scene] = []
    rest: list[tuple[int, str, str]] = []
    for thing, colour in product(DATA["shapes"], COLOURS):
        rest = rest or rng.sample(deck, len(deck))
        drawn += [Scene(thing, colour, *rest.pop()) for _ in range(SCENES_PER_PAIR)]
    rng.shuffle(drawn)
    return drawn


def write(path: Path, content: bytes) -> None:
    """Write a file, making its folder first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_messy(folder: Path) -> None:
    """Write a folder as people leave it; README.md says what is wrong with each file."""
    for entry in DATA["messy"]:
        scene, fault = Scene(*entry["scene"]), entry.get("fault")
        rng = random.Random(f"{SEED} {entry['image']}")
        data = encode(render(scene, rng), Path(entry["image"]).suffix)
        write(folder / entry["image"], data[: len(data) // 2] if fault == "truncated" else data)
        if "caption" in entry:
            text = "\n" if fault == "empty caption" else captions(scene, rng)
            write(folder / entry["caption"], text.encode())
    write(folder / "IMG_2039.txt", b"Three white boats on the right, by the sea.\n")


def main() -> None:
    """Rewrite all pictures and captions."""
    for folder in ("images", "captions", "messy"):
        shutil.rmtree(ROOT / folder, ignore_errors=True)
    write_messy(ROOT / "messy")
    rows = []
    for index, scene in enumerate(scenes(random.Random(SEED))):
        rng = random.Random(f"{SEED} {index}")
        suffix = SUFFIXES[index % len(SUFFIXES)]
        stem = f"{DATA['places'][scene.place]['folder']}/{index:04d}"
        write(ROOT / f"images/{stem}{suffix}", encode(render(scene, rng), suffix))
        write(ROOT / f"captions/{stem}.txt", captions(scene, rng).encode())
        words = dict.fromkeys((scene.thing, DATA["words"][scene.thing]["plural"]))
        rows.append(f"{stem}{suffix},{'|'.join(words)},{scene.colour}\n")
    write(ROOT / "attributes.csv", "".join(["image,object,colour\n", *sorted(rows)]).encode())


if __name__ == "__main__":
    main()
