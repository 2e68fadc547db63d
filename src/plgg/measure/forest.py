"""Apply a random forest that is stored as plain numbers, so that loading it runs no code.

`plgg.predict.calibrate.radiomics` fits it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from plgg.data.calibration import ForestModel, Tree


def forest_probabilities(model: ForestModel, inputs: Mapping[str, float]) -> dict[str, float]:
    """Probability of each class, in the model's order: the mean of the trees' leaves.

    Args:
        model: The forest.
        inputs: By name, as `plgg.measure.radiomics` gives them; unknown ones are set to the
            training mean.

    Example:
        >>> stump = Tree(feature=(0, -1, -1), threshold=(1.5, 0, 0), left=(1, -1, -1),
        ...              right=(2, -1, -1), leaf=((0.5, 0.5), (1.0, 0.0), (0.0, 1.0)))
        >>> model = ForestModel(
        ...     classes=("a", "b"), inputs=("x",), means=(0.0,), trees=(stump,), n=2
        ... )
        >>> forest_probabilities(model, {"x": 2.0})
        {'a': 0.0, 'b': 1.0}
    """
    known = [inputs.get(name, mean) for name, mean in zip(model.inputs, model.means, strict=True)]
    # float32 as in scikit-learn, whose thresholds lie between float32 numbers.
    row = np.array(known, dtype=np.float32).astype(float).tolist()
    mean = np.mean([_leaf(tree, row) for tree in model.trees], axis=0)
    return dict(zip(model.classes, map(float, mean), strict=True))


def _leaf(tree: Tree, row: list[float]) -> tuple[float, ...]:
    node = 0
    while tree.feature[node] >= 0:
        below = row[tree.feature[node]] <= tree.threshold[node]
        node = tree.left[node] if below else tree.right[node]
    return tree.leaf[node]
