"""What a random sample is worth: the chance that it misses every altered document."""

from __future__ import annotations

from math import exp, fsum, log1p


def chance_to_miss(*, documents: int, altered: int, sample: int) -> float:
    """The probability that ``sample`` of ``documents`` holds none of ``altered`` ones.

    Hypergeometric, drawn without putting back: ``C(N - k, n) / C(N, n)``. With as many documents
    in the sample as there are, it is 0; without an altered one, 1.

    :raises ValueError: a number is negative, or larger than the number of documents.
    """
    if not 0 <= altered <= documents or not 0 <= sample <= documents:
        raise ValueError(f"{altered} altered and a sample of {sample} of {documents} documents")
    if altered == 0 or sample == 0:
        return 1.0
    if altered + sample > documents:
        return 0.0
    fewer, more = sorted((altered, sample))
    # As factors near 1 and not as factorials, whose logarithms cancel out to nothing.
    return exp(fsum(log1p(-more / (documents - drawn)) for drawn in range(fewer)))
