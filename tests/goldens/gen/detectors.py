"""Writes detectors/ beside this folder: control maps as the original's detectors make them.

    python tests/goldens/gen/detectors.py

Made with opencv-python-headless 5.0.0 and numpy 2.4 (4.14.0 makes the same but for
some pixels of `content`, by up to 2 levels); the pictures are cut from an example task's
photograph, or drawn from a fixed seed. `canny` and `content` follow controlnet_aux line by line: the
short side to the first resolution, the detector, the map at the second. The random numbers of
`content` are those of SplitMix64, as in musev, in the place of numpy's unseeded ones.
"""

import pathlib

import cv2
import numpy

HERE = pathlib.Path(__file__).resolve().parent.parent
OUT = HERE / "detectors"
IMAGES = HERE.parent.parent / "configs" / "tasks" / "images"


def save(name, picture):
    """Pictures here are RGB."""
    cv2.imwrite(str(OUT / f"{name}.png"), picture[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def short_side(picture, resolution):
    height, width = picture.shape[:2]
    factor = float(resolution) / min(height, width)
    height, width = (int(numpy.round(side * factor / 64.0)) * 64 for side in (height, width))
    how = cv2.INTER_LANCZOS4 if factor > 1 else cv2.INTER_AREA
    return cv2.resize(picture, (width, height), interpolation=how)


def at_resolutions(picture, detect, image, detector):
    seen = short_side(picture, detect)
    found = detector(seen)
    height, width = short_side(seen, image).shape[:2]
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR)


def canny(picture):
    return numpy.repeat(cv2.Canny(picture, 100, 200)[:, :, None], 3, axis=2)


class Uniform:
    def __init__(self, seed):
        self.state = seed

    def draw(self, count):
        return numpy.array([self.one() for _ in range(count)])

    def one(self):
        mask = (1 << 64) - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return ((z ^ (z >> 31)) >> 11) / float(1 << 53)


def content(seed):
    def shuffle(picture):
        height, width = picture.shape[:2]
        numbers, grid = Uniform(seed), 256

        def disk():
            shape = (height // grid + 2, width // grid + 2)
            noise = numbers.draw(shape[0] * shape[1]).reshape(shape)
            size = (width + 2 * grid, height + 2 * grid)
            noise = cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
            noise = noise[grid : grid + height, grid : grid + width]
            noise = noise - noise.min()
            return noise / noise.max()

        x, y = disk() * float(width - 1), disk() * float(height - 1)
        flow = numpy.stack([x, y], axis=2).astype(numpy.float32)
        return cv2.remap(picture, flow, None, cv2.INTER_LINEAR)

    return shuffle


def main():
    OUT.mkdir(exist_ok=True)
    photograph = sorted(IMAGES.glob("*.jpg"))[0]
    photograph = cv2.imread(str(photograph))[:, :, ::-1]
    photograph = cv2.resize(photograph, (150, 110), interpolation=cv2.INTER_AREA)
    random = numpy.random.RandomState(7)
    noise = random.randint(0, 256, (37, 53, 3), dtype=numpy.uint8)
    # Steps of few levels: many neighbours are equally steep.
    steps = (random.randint(0, 4, (48, 64, 1)) * 60).astype(numpy.uint8).repeat(3, axis=2)
    steps = cv2.resize(steps, (128, 96), interpolation=cv2.INTER_NEAREST)
    disc = numpy.zeros((80, 96, 3), dtype=numpy.uint8)
    cv2.circle(disc, (50, 38), 29, (250, 90, 20), -1)
    cv2.line(disc, (3, 77), (94, 5), (30, 200, 255), 2)
    pictures = {"photograph": photograph, "noise": noise, "steps": steps, "disc": disc}
    for name, picture in pictures.items():
        save(name, picture)
        save(f"{name}_edges", canny(picture))
    save("photograph_canny_128_192", at_resolutions(photograph, 128, 192, canny))
    save("photograph_content_192_128", at_resolutions(photograph, 192, 128, content(5)))
    resizes = {
        "area": [((64, 64), cv2.INTER_AREA), ((75, 55), cv2.INTER_AREA), ((50, 22), cv2.INTER_AREA),
                 ((64, 128), cv2.INTER_AREA)],
        "lanczos4": [((192, 128), cv2.INTER_LANCZOS4), ((300, 110), cv2.INTER_LANCZOS4)],
        "linear": [((192, 128), cv2.INTER_LINEAR), ((101, 77), cv2.INTER_LINEAR)],
    }
    for name, sizes in resizes.items():
        for (width, height), how in sizes:
            resized = cv2.resize(photograph, (width, height), interpolation=how)
            save(f"photograph_{name}_{width}x{height}", resized)


main()
