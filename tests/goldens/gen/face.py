"""Writes ../face/: two networks with the interface of InsightFace's buffalo_l, and what its steps make of them.

Made with numpy 2.4.6, onnx 1.23.2, onnxruntime 1.32.0, opencv-python-headless 4.10.0.84,
scikit-image 0.26.0, safetensors 0.8.0. The networks have random weights: their "faces" are no
faces, but everything around them is what InsightFace 0.7 does with a picture it is given as the
original does it (red and blue exchanged).
"""

import pathlib
import warnings

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from skimage.transform import SimilarityTransform

OUT = pathlib.Path(__file__).resolve().parent.parent / "face"
STRIDES = (8, 16, 32)
SIZE = 640
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
warnings.filterwarnings("ignore", category=FutureWarning)


class Graph:
    """Collects nodes and weights."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def weight(self, name, value, dtype=np.float32):
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, kind, inputs, output, **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [output], name=f"{kind}_{len(self.nodes)}", **attributes))
        return output

    def conv(self, x, out, cin, cout, stride=1, bias=None, gain=1.4):
        std = gain / np.sqrt(9 * cin)
        w = self.weight(f"{out}.weight", self.random.normal(0, std, (cout, cin, 3, 3)))
        b = self.weight(f"{out}.bias", np.zeros(cout) if bias is None else bias)
        return self.node("Conv", [x, w, b], out, kernel_shape=[3, 3], strides=[stride] * 2, pads=[1] * 4)

    def norm(self, x, out, shape):
        draw = lambda low, high: self.random.uniform(low, high, shape)
        names = ("scale", "bias", "mean", "var")
        values = (draw(0.8, 1.2), draw(-0.2, 0.2), draw(-0.2, 0.2), draw(0.8, 1.2))
        inputs = [x] + [self.weight(f"{out}.{name}", value) for name, value in zip(names, values)]
        return self.node("BatchNormalization", inputs, out, epsilon=1e-5)

    def save(self, path, inputs, outputs):
        graph = helper.make_graph(self.nodes, "graph", inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
        model.ir_version = 6
        onnx.checker.check_model(model)
        onnx.save(model, path)


def detector(path, score_biases):
    g = Graph(14)
    c = 8
    x = g.node("Relu", [g.conv("input.1", "stem", 3, c, 2)], "stem.relu")
    x = g.node("MaxPool", [x], "pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    levels = []
    for stride in STRIDES:
        x = g.node("Relu", [g.conv(x, f"down{stride}", c, c, 2)], f"down{stride}.relu")
        levels.append(x)
    scales = g.weight("scales", [1, 1, 2, 2])
    roi = g.weight("roi", [])
    for at in (1, 0):
        up = g.node("Resize", [levels[at + 1], roi, scales], f"up{at}", mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        levels[at] = g.node("Add", [levels[at], up], f"sum{at}")
    # Eyes, nose and corners of the mouth around an anchor, in strides; two anchors a cell.
    face = (TEMPLATE - TEMPLATE.mean(0)) / 30
    kinds = (("score", 1, score_biases), ("bbox", 4, [2.5] * 3), ("kps", 10, [face.ravel()] * 3))
    names = {"score": ("448", "471", "494"), "bbox": ("451", "474", "497"), "kps": ("454", "477", "500")}
    outputs = []
    for kind, width, biases in kinds:
        for level, (stride, feature) in enumerate(zip(STRIDES, levels)):
            head = f"{kind}{stride}"
            bias_here = np.broadcast_to(biases[level], (2, width)).ravel()
            gain = 1.4 if kind == "score" else 0.3
            x = g.conv(feature, head, c, 2 * width, bias=bias_here, gain=gain)
            if kind == "bbox":
                x = g.node("Mul", [x, g.weight(f"{head}.scale", 0.9 + level / 10)], f"{head}.scaled")
            x = g.node("Transpose", [x], f"{head}.rows", perm=[2, 3, 0, 1])
            shape = g.weight(f"{head}.shape", [-1, width], np.int64)
            name = names[kind][level]
            x = g.node("Reshape", [x, shape], name if kind != "score" else f"{head}.flat")
            if kind == "score":
                g.node("Sigmoid", [x], name)
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [2 * (SIZE // stride) ** 2, width]))
    g.save(path, [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "?", "?"])], outputs)


def recogniser(path):
    g = Graph(2)
    c = 2
    prelu = lambda x, out: g.node("PRelu", [x, g.weight(f"{out}.slope", g.random.uniform(0.1, 0.4, (c, 1, 1)))], out)
    x = prelu(g.conv("input.1", "stem", 3, c, 2), "stem.prelu")
    for at in range(3):
        y = g.norm(x, f"norm{at}", (c,))
        y = prelu(g.conv(y, f"in{at}", c, c), f"prelu{at}")
        y = g.conv(y, f"out{at}", c, c, 2)
        skip = g.node("Conv", [x, g.weight(f"skip{at}.weight", g.random.normal(0, 0.7, (c, c, 1, 1)))], f"skip{at}",
                      kernel_shape=[1, 1], strides=[2, 2])
        x = g.node("Add", [y, skip], f"sum{at}")
    x = g.node("Flatten", [g.norm(x, "norm", (c,))], "flat", axis=1)
    w = g.weight("fc.weight", g.random.normal(0, 0.1, (512, c * 49)))
    b = g.weight("fc.bias", g.random.normal(0, 0.1, 512))
    x = g.node("Gemm", [x, w, b], "fc", alpha=1.0, beta=1.0, transB=1)
    g.norm(x, "683", (512,))
    g.save(path, [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["None", 3, 112, 112])],
           [helper.make_tensor_value_info("683", TensorProto.FLOAT, [1, 512])])


def session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def letterbox(image):
    height, width = image.shape[:2]
    ratio = height / width
    new_width, new_height = (int(SIZE / ratio), SIZE) if ratio > 1 else (SIZE, int(SIZE * ratio))
    canvas = np.zeros((SIZE, SIZE, 3), np.uint8)
    canvas[:new_height, :new_width] = cv2.resize(image, (new_width, new_height))
    return canvas, new_height / height


def detect(network, image, threshold=0.5, overlap=0.4):
    """Boxes with scores `[n, 5]` and key points `[n, 5, 2]`, the best first; and all scores."""
    canvas, scale = letterbox(image)
    blob = cv2.dnn.blobFromImage(canvas, 1 / 128, (SIZE, SIZE), (127.5,) * 3, swapRB=True)
    outputs = network.run(None, {"input.1": blob})
    boxes, points, scores = [], [], []
    for level, stride in enumerate(STRIDES):
        score, box, kps = outputs[level], outputs[level + 3] * stride, outputs[level + 6] * stride
        side = SIZE // stride
        rows, columns = np.divmod(np.arange(side * side), side)
        centre = np.repeat(np.stack([columns, rows], 1).astype(np.float32) * stride, 2, axis=0)
        found = np.nonzero(score[:, 0] >= threshold)[0]
        boxes.append(np.hstack([centre - box[:, :2], centre + box[:, 2:]])[found])
        points.append((centre[:, None] + kps.reshape(-1, 5, 2))[found])
        scores.append(score[found])
    boxes, points, score = np.vstack(boxes) / scale, np.vstack(points) / scale, np.vstack(scores)
    order = score[:, 0].argsort()[::-1]
    boxes, points = np.hstack([boxes, score]).astype(np.float32)[order], points[order]
    left = list(range(len(boxes)))
    kept = []
    area = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    while left:
        best, *rest = left
        kept.append(best)
        left = []
        for other in rest:
            width = min(boxes[best, 2], boxes[other, 2]) - max(boxes[best, 0], boxes[other, 0]) + 1
            height = min(boxes[best, 3], boxes[other, 3]) - max(boxes[best, 1], boxes[other, 1]) + 1
            common = max(0, width) * max(0, height)
            if common / (area[best] + area[other] - common) <= overlap:
                left.append(other)
    return boxes[kept], points[kept].astype(np.float32), (score[:, 0], len(boxes), outputs[:3])


def alignment(points):
    transform = SimilarityTransform()
    transform.estimate(points, TEMPLATE)
    return transform.params[:2]


def embed(network, image, points):
    crop = cv2.warpAffine(image, alignment(points), (112, 112), borderValue=0.0)
    blob = cv2.dnn.blobFromImages([crop], 1 / 127.5, (112, 112), (127.5,) * 3, swapRB=True)
    vector = network.run(None, {"input.1": blob})[0].ravel()
    return crop, vector / np.linalg.norm(vector)


def picture(height, width, seed):
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    channels = []
    for _ in range(3):
        waves = [np.sin(a * x + b * y + c) for a, b, c in random.uniform(-0.25, 0.25, (6, 3)) * (1, 1, 20)]
        channels.append(np.sum(waves, 0) * 30 + random.normal(0, 8, (height, width)) + 128)
    return np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)


OUT.mkdir(exist_ok=True)
tensors = {}
# A bias for which the detector finds some tens of faces, of which several overlap.
detector(OUT / "det_10g.onnx", (0.0, 0.0, 0.0))
landscape, portrait = picture(150, 200, 3), picture(176, 120, 4)
outputs = detect(session(OUT / "det_10g.onnx"), landscape)[2][2]
logits = [np.sort(np.log(s / (1 - s)).ravel()) for s in outputs]
detector(OUT / "det_10g.onnx", [-float(level[-found - 1 :][:2].mean()) for level, found in zip(logits, (40, 20, 8))])
recogniser(OUT / "w600k_r50.onnx")
det, rec = session(OUT / "det_10g.onnx"), session(OUT / "w600k_r50.onnx")
for name, image in (("landscape", landscape), ("portrait", portrait)):
    boxes, points, (scores, before, all_scores) = detect(det, image)
    margin = min(np.abs(s - 0.5).min() for s in all_scores)
    gaps = np.diff(np.sort(scores))
    print(name, "found", before, "kept", len(boxes), "margin", margin, "gap", gaps.min(),
          "levels", [(s >= 0.5).sum() for s in all_scores])
    crop, vector = embed(rec, image, points[0])
    tensors |= {f"{name}.picture": image, f"{name}.boxes": boxes, f"{name}.points": points, f"{name}.crop": crop,
                f"{name}.matrix": alignment(points[0]), f"{name}.embedding": vector}
random = np.random.default_rng(5)
turned = np.array([[20, 70.5], [64, 20.25], [70, 60], [71.5, 99], [101, 60]], dtype=np.float32)
mirrored = TEMPLATE * (-1.5, 1.2) + (160, 3)
for at, points in enumerate((turned, mirrored.astype(np.float32), random.uniform(0, 150, (5, 2)).astype(np.float32))):
    matrix = alignment(points)
    crop = cv2.warpAffine(landscape, matrix, (112, 112), borderValue=0.0)
    tensors |= {f"align{at}.points": points, f"align{at}.matrix": matrix, f"align{at}.crop": crop}
for at, (size, new) in enumerate((((75, 100), (48, 31)), ((40, 30), (77, 111)), ((60, 48), (24, 30)))):
    image = picture(*size, 6 + at)
    tensors |= {f"resize{at}.old": image, f"resize{at}.new": cv2.resize(image, new)}
save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, OUT / "steps.safetensors")
