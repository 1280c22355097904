"""Kokoro's int8 model back in float32, in two parts: ONNX up to the generator, and the generator.

ONNX Runtime's int8 convolutions are slow on CPUs, and most of the time goes into the generator's:
that runs in torch (`kokoro_generator`). The graph is the export of Kokoro-82M by kokoro-onnx (MIT).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from training.corpus.teachers.speech import TeacherError

GENERATOR = "/decoder/decoder/generator/"
HIDDEN = "/decoder/decoder/decode.3/Div_4_output_0"
"""What the generator starts from, `[1, 512, frames]`."""
STYLE = "/decoder/Slice_output_0"
"""The voice's style, `[1, 128]`."""
LENGTHS = "/encoder/Clip_output_0"
"""Units of 600 samples that each sign takes."""
_HARMONICS_READER = f"{GENERATOR}noise_convs.1/Conv_quant"
_BIAS = "_quantizedbias_add"


def prepare(int8_model: Path, directory: Path) -> tuple[Path, Path]:
    """Leave `kokoro-front.onnx` and `kokoro-generator.npz` in `directory`, unless they are there.

    The front gives `HIDDEN`, the harmonics `[1, 22, frames]`, `STYLE` and `LENGTHS`, in that order.

    Raises:
        TeacherError: the package onnx is not installed, or the model is another one.
    """
    front, generator = directory / "kokoro-front.onnx", directory / "kokoro-generator.npz"
    if front.is_file() and generator.is_file():
        return front, generator
    try:
        import onnx
    except ImportError:
        raise TeacherError("onnx is not installed: pip install -e '.[teachers]'") from None
    model = onnx.load(str(int8_model))
    graph = _Graph(model.graph)
    graph.dequantize()
    weights: dict[str, Any] = dict(graph.weights_named("generator"))
    np.savez(generator.with_suffix(".part.npz"), **weights)
    graph.keep([HIDDEN, graph.harmonics(), STYLE, LENGTHS])
    onnx.save(model, str(front.with_suffix(".part")))
    generator.with_suffix(".part.npz").replace(generator)
    front.with_suffix(".part").replace(front)
    return front, generator


class _Graph:
    """An ONNX graph that is rewritten in place."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self._graph = graph
        self._constants = {i.name: i for i in graph.initializer}
        self._value = lambda name: numpy_helper.to_array(self._constants[name])
        self._maker = {out: node for node in graph.node for out in node.output}
        self._readers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)

    def dequantize(self) -> None:
        """Put a float32 operation in the place of every quantised one."""
        replaced: dict[int, Any] = {}
        gone: set[int] = set()
        for node in list(self._graph.node):
            if node.op_type in ("ConvInteger", "MatMulInteger"):
                if node.input[1] in self._constants:
                    chain, made = self._float_product(node)
                    gone.update(map(id, chain))
                    replaced[id(node)] = made
            elif node.op_type == "DynamicQuantizeLSTM":
                replaced[id(node)] = self._float_lstm(node)
        nodes = [
            replaced.get(id(node), node)
            for node in self._graph.node
            if id(node) in replaced or id(node) not in gone
        ]
        self._set_nodes(nodes)

    def harmonics(self) -> str:
        """The name of the generator's other input, what its noise convolutions read."""
        readers = [n for n in self._graph.node if n.name == _HARMONICS_READER]
        if len(readers) != 1:
            raise TeacherError(f"Kokoro's model has no {_HARMONICS_READER}")
        return str(readers[0].input[0])

    def weights_named(self, part: str) -> dict[str, np.ndarray]:
        """The constants with `part` in their names."""
        from onnx import numpy_helper

        found = (i for i in self._graph.initializer if part in i.name)
        return {i.name: numpy_helper.to_array(i) for i in found}

    def keep(self, outputs: list[str]) -> None:
        """Make these the graph's outputs and drop what they do not need."""
        from onnx import TensorProto, helper

        del self._graph.output[:]
        for name in outputs:
            self._graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        needed, nodes = set(outputs), []
        for node in reversed(self._ordered()):
            if needed.intersection(node.output):
                nodes.append(node)
                needed.update(node.input)
        self._set_nodes(nodes[::-1])
        constants = [i for i in self._graph.initializer if i.name in needed]
        del self._graph.initializer[:]
        self._graph.initializer.extend(constants)

    def _float_product(self, node: Any) -> tuple[list[Any], Any]:
        """What an integer product and its rescaling do, as one operation; and all it replaces."""
        from onnx import helper

        is_convolution = node.op_type == "ConvInteger"
        quantizer = self._maker[node.input[0]]
        chain = [node]
        after = self._only_reader(node.output[0])
        bias = []
        if after.op_type == "Add":
            bias = [after.name.removesuffix(_BIAS)]
            if bias[0] not in self._constants:
                raise TeacherError(f"Kokoro's model has no bias {bias[0]}")
            chain.append(after)
            after = self._only_reader(after.output[0])
        rescaled = self._only_reader(after.output[0])
        if after.op_type != "Cast" or rescaled.op_type != "Mul":
            raise TeacherError(f"Kokoro's {node.name} is not rescaled as expected")
        chain += [after, rescaled]
        scales = self._maker[next(n for n in rescaled.input if n != after.output[0])]
        scale = self._value(next(n for n in scales.input if n != quantizer.output[1]))
        weight = self._value(node.input[1]).astype(np.float32)
        if len(node.input) > 3 and node.input[3] in self._constants:
            weight = weight - self._value(node.input[3]).astype(np.float32)
        if is_convolution and scale.ndim == 1 and scale.size > 1:
            scale = scale.reshape(-1, *[1] * (weight.ndim - 1))
        name = self._add(f"{node.name}_weight", weight * scale)
        made = helper.make_node(
            "Conv" if is_convolution else "MatMul",
            [quantizer.input[0], name, *bias],
            [rescaled.output[0]],
            name=node.name,
        )
        if is_convolution:
            made.attribute.extend(node.attribute)
        return chain, made

    def _float_lstm(self, node: Any) -> Any:
        from onnx import helper

        given = [*node.input, *[""] * (12 - len(node.input))]
        weights = []
        for position, scale, zero in ((1, 8, 9), (2, 10, 11)):
            q, s, z = (self._value(given[i]).astype(np.float32) for i in (position, scale, zero))
            shape = (-1, 1, 1) if s.ndim == 1 else (s.shape[0], 1, -1)
            value = (q - z.reshape(shape)) * s.reshape(shape)
            weights.append(self._add(f"{node.name}_{position}", value.transpose(0, 2, 1)))
        made = helper.make_node(
            "LSTM", [given[0], *weights, *given[3:8]], list(node.output), name=node.name
        )
        made.attribute.extend(node.attribute)
        return made

    def _only_reader(self, name: str) -> Any:
        if len(self._readers[name]) != 1:
            raise TeacherError(f"Kokoro's model reads {name} {len(self._readers[name])} times")
        return self._readers[name][0]

    def _add(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        made = numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        self._graph.initializer.append(made)
        return name

    def _ordered(self) -> list[Any]:
        """The nodes, each behind all that it reads."""
        known = {i.name for i in self._graph.initializer} | {i.name for i in self._graph.input}
        known.add("")
        left, ordered = list(self._graph.node), []
        while left:
            ready = [n for n in left if known.issuperset(n.input)]
            if not ready:
                raise TeacherError("Kokoro's model cannot be put in order")
            # One pass over the rest at a time: what became ready may make more ready.
            waiting = []
            for node in left:
                if known.issuperset(node.input):
                    ordered.append(node)
                    known.update(node.output)
                else:
                    waiting.append(node)
            left = waiting
        return ordered

    def _set_nodes(self, nodes: list[Any]) -> None:
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del self._graph.node[:]
        self._graph.node.extend(copies)
