"""The pictures of the example tasks, from scikit-image's own data.

    pip install scikit-image==0.26.0 pillow
    python tests/goldens/gen/task_images.py configs/tasks/images
"""

import pathlib
import sys

import skimage.data
from PIL import Image

folder = pathlib.Path(sys.argv[1])
data = pathlib.Path(skimage.data.__file__).parent
for name, source in [("astronaut", "astronaut"), ("cat", "chelsea"), ("coffee", "coffee")]:
    picture = Image.open(data / f"{source}.png").convert("RGB")
    picture.thumbnail((512, 512), Image.Resampling.LANCZOS)
    picture.save(folder / f"{name}.jpg", quality=88, optimize=True)
