"""Which labels of a data set are probably wrong: confident learning.

Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels"
(arXiv 1911.00068). A net that never trained on an image says how probable each class is. A class is
believed where its probability is at least what is usual for images that bear its label. An image
for which another class is believed than its label says, and the most probable one is another, too,
is a suspect.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def believed(probabilities: Floats, labels: Ints) -> Ints:
    """The class that is believed of each image, int64 [N]; -1: none.

    Args:
        probabilities: of nets that have not trained on the images, [N, C].
        labels: as given, [N].
    """
    count = probabilities.shape[1]
    usual = np.full(count, np.inf)  # nothing is usual for a class without images
    for label in np.unique(labels):
        usual[label] = probabilities[labels == label, label].mean()
    enough = probabilities >= usual - 1e-6
    found = np.where(enough, probabilities, -1.0).argmax(1)
    return np.asarray(np.where(enough.any(1), found, -1))


def suspects(probabilities: Floats, labels: Ints) -> Ints:
    """Indices of images whose label is probably wrong, that with the least probable label first.

    The arguments are those of `believed`.
    """
    found = believed(probabilities, labels)
    wrong = (found >= 0) & (found != labels) & (probabilities.argmax(1) != labels)
    indices = np.flatnonzero(wrong)
    order = np.argsort(probabilities[indices, labels[indices]], kind="stable")
    return np.asarray(indices[order])
