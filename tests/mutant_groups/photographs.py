"""Mutants of photographs, of the network that sees them, and of the file that its weights come in."""

from mutant_groups.modules import IMAGENET, PHOTOGRAPHS, TORCH_ARRAYS
from mutant_groups.mutant import group

READS = "arrays_come or keys_are or hostile or by_hand or lie_in or contradicts or cut_short"

GROUPS = {
    "photographs": group(
        "test_datasets.py", "photo or crops",
        (PHOTOGRAPHS, "(height - side) // 2, (width - side) // 2", "0, (width - side) // 2"),
        (PHOTOGRAPHS, "(height - side) // 2, (width - side) // 2", "(height - side) // 2, 0"),
        (PHOTOGRAPHS, "(height - side) // 2, (width - side) // 2", "(width - side) // 2, (height - side) // 2"),
        (PHOTOGRAPHS, "side = min(height, width)", "side = height"),
        (PHOTOGRAPHS, 'picture.convert("RGB")', 'picture.convert("L").convert("RGB")'),
        (PHOTOGRAPHS, "chosen = {name: PHOTOGRAPHS[name] for name in _names(names)}", "chosen = {name: one for name, one in PHOTOGRAPHS.items() if name in _names(names)}"),
        (PHOTOGRAPHS, "len(set(names)) < len(names)", "False"),
        (PHOTOGRAPHS, "np.arange(count) % len(photos.images)", "np.arange(count) // len(photos.images)"),
        (PHOTOGRAPHS, "i // len(photos.images) % len(shares)", "i % len(shares)"),
        (PHOTOGRAPHS, "* min(image.shape[:2])", "* max(image.shape[:2])"),
        (PHOTOGRAPHS, "np.array(image.shape[:2]) - side + 1)", "np.array(image.shape[:2]) - side)"),
        (PHOTOGRAPHS, "np.array(image.shape[:2]) - side + 1)", "np.array(image.shape[1::-1]) - side + 1)"),
        (PHOTOGRAPHS, "photos.labels[number]", "number"),
        (PHOTOGRAPHS, "random((count, 2))", "random((2, count)).T"),
        (PHOTOGRAPHS, "Image.Resampling.BILINEAR", "Image.Resampling.NEAREST"),
        (PHOTOGRAPHS, "anti_aliasing=True", "anti_aliasing=False"),
    ),
    "weights of PyTorch": group(
        "test_imagenet.py", READS,
        (TORCH_ARRAYS, "values[tensor.offset :]", "values"),
        (TORCH_ARRAYS, "values.itemsize * stride", "4 * stride"),
        (TORCH_ARRAYS, "max(_last(tensor) + 1, math.prod(tensor.shape))", "_last(tensor) + 1"),
        (TORCH_ARRAYS, "max(_last(tensor) + 1, math.prod(tensor.shape))", "max(_last(tensor), math.prod(tensor.shape))"),
        (TORCH_ARRAYS, "type(size) is int and size >= 0", "type(size) is int"),
        (TORCH_ARRAYS, "type(size) is int and size >= 0", "size >= 0"),
        (TORCH_ARRAYS, "(size - 1) * stride", "size * stride"),
        (TORCH_ARRAYS, "if math.prod(tensor.shape) else -1", "if math.prod(tensor.shape) else 10**9"),
        (TORCH_ARRAYS, "for key in keys}", "for key in sorted(keys)}"),
        (TORCH_ARRAYS, "if sorted(keys) != sorted(described.storages):", "if False:"),
        (TORCH_ARRAYS, "if stream.read(1):", "if False:"),
        (TORCH_ARRAYS, "type(count) is not int or view is not None", "type(count) is not int"),
        (TORCH_ARRAYS, "!= (TYPES[kind], count):", "!= (TYPES[kind], count) and False:"),
        (TORCH_ARRAYS, '(module, name) == ("collections", "OrderedDict")', 'module == "collections"'),
        (TORCH_ARRAYS, 'if module == "torch" and name in TYPES:', 'if module == "torch":'),
        (TORCH_ARRAYS, "if type(stack[-1]) is not OrderedDict:", "if False:"),
        (TORCH_ARRAYS, "(magic, version, machine[\"little_endian\"]) != (MAGIC, VERSION, True)", "(magic, version) != (MAGIC, VERSION)"),
        (TORCH_ARRAYS, "if not path.is_file():", "if False:"),
    ),
    "the network of ImageNet": group(
        "test_imagenet.py", "not (" + READS + ")",
        (IMAGENET, "Rescaling(255 / 128, -127 / 128", "Rescaling(255 / 128, -1"),
        (IMAGENET, "1 if number else stride", "stride if number else 1"),
        (IMAGENET, "if before.shape == x.shape else x", "if False else x"),
        (IMAGENET, "channels, relu=False)", "channels)"),
        (IMAGENET, "BatchNormalization(epsilon=1e-3", "BatchNormalization(epsilon=1e-2"),
        (IMAGENET, "keras.layers.ReLU(6,", "keras.layers.ReLU(None,"),
        (IMAGENET, "DepthwiseConv2D(side, stride,", "DepthwiseConv2D(side, 1,"),
        (IMAGENET, '"weight", "bias", "running_mean", "running_var"', '"bias", "weight", "running_mean", "running_var"'),
        (IMAGENET, "(0.0, 1.0), _class_names()", "(0.0, 255.0), _class_names()"),
        (IMAGENET, 'if not line.startswith("#"))', ")"),
        (IMAGENET, "if not path.is_file():", "if False:"),
        (IMAGENET, "except (KeyError, ValueError) as error:", "except KeyError as error:"),
    ),
}  # fmt: skip
