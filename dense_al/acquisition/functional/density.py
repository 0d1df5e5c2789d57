"""How much more likely features are in the target domain than in the source domain.

Wu et al., D2ADA: Dynamic Density-aware Active Domain Adaptation for Semantic Segmentation,
ECCV 2022.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 2048
_FIT_ROWS = 20_000
_START_ROWS = 4_000
_LOG_2PI = float(np.log(2 * np.pi))


def density_ratio(
    source: ArrayLike,
    target: ArrayLike,
    *,
    n_components: int | None = None,
    seed: int = 0,
    paper_compat: bool = False,
    n_dims: int = 16,
    folds: int = 2,
    max_iter: int = 200,
    tol: float = 1e-4,
    at: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Log density ratio of the target features, target over source: high = the source lacks it.

    Both domains are described by Gaussian mixtures. By default features are standardised over both
    domains and reduced to `n_dims` whitened principal components; the mixtures have full
    covariances, shrunk towards their common one, and a target row is scored by a mixture of the
    target fitted without it, so that small classes do not score high merely because they were
    fitted closely. Of a domain at most 20,000 rows, drawn by `seed`, are fitted; all are scored.

    Args:
        source: (N, D) float.
        target: (M, D) float.
        n_components: Of both mixtures; by default one for every 100 rows of the smaller domain, at
            least 1, at most 10.
        seed: Of the mixtures' starting points.
        paper_compat: The released method instead: full covariances on the raw features, scored on
            the rows they were fitted to, one component for every 100 target rows; needs
            scikit-learn. `n_dims`, `folds`, `max_iter` and `tol` have no effect.
        n_dims: Principal components to keep at most, >= 1.
        folds: Parts of the target that are scored by a mixture of the others; 1 scores the rows
            that were fitted.
        max_iter: Iterations of expectation maximisation at most, >= 1.
        tol: Stop when the mean log likelihood of a row has less than this to gain, by
            extrapolation, in nats, >= 0.
        at: (Q, D) float, rows to score instead of the target's, which are all fitted then; `folds`
            has no effect.

    Returns:
        (M,) or (Q,) float64 `log p_target - log p_source` at the rows scored, in nats.

    Raises:
        ValueError: Wrong shapes, non-finite features, fewer than 2 rows or fewer rows than
            components in a domain, or a parameter out of range.
        ImportError: `paper_compat` without scikit-learn.

    References:
        Wu et al., D2ADA, ECCV 2022.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source = rng.normal(size=(300, 4))
    >>> target = np.concatenate([rng.normal(size=(250, 4)), rng.normal(5, 1, size=(50, 4))])
    >>> ratio = density_ratio(source, target)
    >>> bool(ratio[250:].min() > np.median(ratio[:250]))
    True
    """
    source, target = _matrix(source, 'source'), _matrix(target, 'target')
    scored = target if at is None else _matrix(at, 'at')
    for name, rows in (('source', source), ('at', scored)):
        if rows.shape[1] != target.shape[1]:
            raise ValueError(
                f'Expected `{name}` of shape (N, {target.shape[1]}), but got {rows.shape}'
            )
    for name, value in (('n_dims', n_dims), ('folds', folds), ('max_iter', max_iter)):
        if value < 1:
            raise ValueError(f'Expected `{name}` >= 1, but got {value}')
    if n_components is None:
        n_rows = len(target) if paper_compat else min(len(source), len(target))
        n_components = int(np.clip(n_rows // 100, 1, 10))
    for name, rows in (('source', source), ('target', target)):
        if len(rows) < max(n_components, 2):
            raise ValueError(
                f'Expected `{name}` of at least {max(n_components, 2)} rows for {n_components}'
                f' components, but got {len(rows)}'
            )
    if n_components < 1:
        raise ValueError(f'Expected `n_components` >= 1, but got {n_components}')
    if paper_compat:
        return _released_ratio(source, target, scored, n_components, seed)
    # More dimensions than a fifth of the rows would be fitted to nothing.
    n_dims = min(n_dims, max(min(len(source), len(target)) // 5, 1))
    centre, projection = _whiten(source, target, n_dims)
    if projection.shape[1] == 0:
        return np.zeros(len(scored))
    source, target = (_project(rows, centre, projection) for rows in (source, target))
    scored = target if at is None else _project(scored, centre, projection)
    rng = np.random.default_rng(seed)
    below = _log_density(scored, _fit_anew(source, n_components, max_iter, tol, rng))
    whole = _fit_anew(target, n_components, max_iter, tol, rng)
    if at is not None:
        return _log_density(scored, whole) - below
    return _held_out(target, whole, min(folds, len(target)), max_iter, tol, rng) - below


class _Mixture(NamedTuple):
    """Gaussian mixture: weights (K,), means (K, D), covariances (K, D, D)."""

    weights: NDArray
    means: NDArray
    covariances: NDArray


def _held_out(
    rows: NDArray, whole: _Mixture, folds: int, max_iter: int, tol: float, rng: np.random.Generator
) -> NDArray:
    """Log density of each row under a mixture of the other folds.

    Every fit starts from the mixture of all rows, so that the folds end in the same optimum and
    their scores are comparable.
    """
    if folds == 1:
        return _log_density(rows, whole)
    out = np.empty(len(rows))
    for fold in np.array_split(rng.permutation(len(rows)), folds):
        rest = np.ones(len(rows), dtype=bool)
        rest[fold] = False
        out[fold] = _log_density(
            rows[fold], _fit(_sample(rows[rest], _FIT_ROWS, rng), whole, max_iter, tol)
        )
    return out


def _fit_anew(
    rows: NDArray, n_components: int, max_iter: int, tol: float, rng: np.random.Generator
) -> _Mixture:
    """Fit without a starting point: most iterations run on a part of the rows."""
    part = _sample(rows, _START_ROWS, rng)
    mixture = _fit(part, _start(part, n_components, rng), max_iter, tol)
    return _fit(_sample(rows, _FIT_ROWS, rng), mixture, max_iter, tol)


def _sample(rows: NDArray, n: int, rng: np.random.Generator) -> NDArray:
    if len(rows) <= n:
        return rows
    return rows[np.sort(rng.choice(len(rows), n, replace=False))]


def _fit(rows: NDArray, mixture: _Mixture, max_iter: int, tol: float) -> _Mixture:
    """Expectation maximisation from a starting point."""
    # Chunks stay in the cache from one step to the other.
    chunks = [_moments(rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)]
    before, last_gain = -np.inf, 0.0
    for _ in range(max_iter):
        likelihood, counts, sums = _expect(chunks, mixture)
        gain = likelihood - before
        # Gains shrink by a constant factor near the optimum: a slow fit has more left to gain.
        ratio = min(max(gain / last_gain, 0), 0.999) if last_gain > 0 else 0.0
        if gain / (1 - ratio) < tol:
            break
        before, last_gain = likelihood, gain
        mixture = _maximise(counts, sums)
    return mixture


def _expect(chunks: list[NDArray], mixture: _Mixture) -> tuple[float, NDArray, NDArray]:
    """Mean log likelihood, and counts (K,) and sums of moments (K, ...) of the components."""
    likelihood, n_rows = 0.0, 0
    counts = np.zeros(len(mixture.weights))
    sums = np.zeros((len(counts), len(chunks[0])))
    factors, constant = _coefficients(mixture)
    for moments in chunks:
        share = factors @ moments + constant
        likelihood += float(_softmax_inplace(share).sum())
        n_rows += share.shape[1]
        counts += share.sum(axis=1)
        sums += share @ moments.T
    return likelihood / n_rows, counts, sums


def _moments(rows: NDArray) -> NDArray:
    """(D (D + 3) / 2, N): products of pairs, then values; both steps are one matrix product."""
    values = np.ascontiguousarray(rows.T)
    n_dims = len(values)
    out = np.empty((n_dims * (n_dims + 3) // 2, len(rows)))
    start = 0
    for k in range(n_dims):
        end = start + n_dims - k
        np.multiply(values[k:], values[k], out=out[start:end])
        start = end
    out[start:] = values
    return out


def _coefficients(mixture: _Mixture) -> tuple[NDArray, NDArray]:
    """(K, moments) and (K, 1): log of weight times density is their product and sum."""
    n_dims = mixture.means.shape[1]
    i, j = np.triu_indices(n_dims)
    precision = np.linalg.inv(mixture.covariances)
    linear = np.einsum('kij,kj->ki', precision, mixture.means)
    constant = np.log(mixture.weights) - 0.5 * (
        (mixture.means * linear).sum(axis=1)
        + np.linalg.slogdet(mixture.covariances)[1]
        + n_dims * _LOG_2PI
    )
    # A product of two different values stands for both halves of the quadratic form.
    quadratic = precision[:, i, j] * np.where(i == j, -0.5, -1.0)
    return np.concatenate([quadratic, linear], axis=1), constant[:, None]


def _softmax_inplace(joint: NDArray) -> NDArray:
    """Turn `joint` into responsibilities over its first axis; returns the log of their sum."""
    top = joint.max(axis=0)
    joint -= top
    np.exp(joint, out=joint)
    total = joint.sum(axis=0)
    joint /= total
    return np.log(total) + top


def _maximise(counts: NDArray, sums: NDArray) -> _Mixture:
    """Weights, means and shrunk covariances.

    A component's covariance leans towards what the components have in common, and that towards a
    sphere of the same trace, each with the weight of `D ** 2 / n` rows: half where there are `D`
    rows, next to nothing where there are many.
    """
    n_moments = sums.shape[1]
    n_dims = int(np.sqrt(2 * n_moments + 2.25) - 1.5 + 1e-6)
    n_pairs = n_moments - n_dims
    safe = np.maximum(counts, 1e-10)
    means = sums[:, n_pairs:] / safe[:, None]
    i, j = np.triu_indices(n_dims)
    scatter = np.empty((len(counts), n_dims, n_dims))
    scatter[:, i, j] = scatter[:, j, i] = sums[:, :n_pairs]
    scatter -= safe[:, None, None] * means[:, :, None] * means[:, None, :]
    rows = counts.sum()
    whole = scatter.sum(axis=0)
    # The features have unit variance; this counts as one value of one row.
    sphere = (max(np.trace(whole), 0) + 1) / (rows * n_dims + 1) * np.eye(n_dims)
    prior = n_dims**2 / max(rows, 1)
    common = (whole + prior * sphere) / (rows + prior)
    priors = n_dims**2 / np.maximum(counts, 1)
    covariances = (scatter + priors[:, None, None] * common) / (counts + priors)[:, None, None]
    weights = (counts + 1) / (rows + len(counts))
    return _Mixture(weights, means, covariances)


def _log_density(rows: NDArray, mixture: _Mixture) -> NDArray:
    factors, constant = _coefficients(mixture)
    parts = [
        np.logaddexp.reduce(factors @ _moments(rows[i : i + _CHUNK]) + constant, axis=0)
        for i in range(0, len(rows), _CHUNK)
    ]
    return np.concatenate(parts)


def _start(rows: NDArray, n_components: int, rng: np.random.Generator) -> _Mixture:
    """Mixture of k-means clusters: at most 20 of Lloyd's iterations from k-means++ seeds."""
    centres = _seeds(rows, n_components, rng)
    label = np.full(len(rows), -1)
    for _ in range(20):
        # The squared norm of the row does not change which centre is nearest.
        distance = (centres**2).sum(axis=1)[:, None] - 2 * centres @ rows.T
        before, label = label, distance.argmin(axis=0)
        if np.array_equal(before, label):
            break
        one_hot = (np.arange(n_components)[:, None] == label).astype(np.float64)
        counts = one_hot.sum(axis=1)[:, None]
        centres = np.where(counts > 0, one_hot @ rows / np.maximum(counts, 1), centres)
    mixture = _maximise(one_hot.sum(axis=1), one_hot @ _moments(rows).T)
    return mixture._replace(means=centres)


def _seeds(rows: NDArray, n: int, rng: np.random.Generator) -> NDArray:
    """k-means++ seeds, the best of a few draws each."""
    picks = [int(rng.integers(len(rows)))]
    nearest = ((rows - rows[picks[0]]) ** 2).sum(axis=1)
    norms = (rows**2).sum(axis=1)
    for _ in range(n - 1):
        edges = np.cumsum(nearest)
        draws = np.searchsorted(edges, rng.random(2 + int(np.log(n))) * edges[-1], side='right')
        draws = np.minimum(draws, len(rows) - 1)
        distance = norms - 2 * rows[draws] @ rows.T + norms[draws][:, None]
        distance = np.minimum(np.maximum(distance, 0), nearest)
        best = int(distance.sum(axis=1).argmin())
        picks.append(int(draws[best]))
        nearest = distance[best]
    return rows[picks]


def _whiten(source: NDArray, target: NDArray, n_dims: int) -> tuple[NDArray, NDArray]:
    """Centre and projection to leading components, with the spread within the domains made white.

    Both domains weigh the same, whatever their sizes. The mean of their variances is 1 in every
    component.
    """
    means = [rows.mean(axis=0, dtype=np.float64) for rows in (source, target)]
    within = [_covariance(rows, mean) for rows, mean in zip((source, target), means)]
    centre, offset = (means[0] + means[1]) / 2, (means[0] - means[1]) / 2
    total = (within[0] + within[1]) / 2 + np.outer(offset, offset)
    deviation = np.sqrt(np.diag(total))
    varies = deviation > 1e-7 * (np.abs(centre) + deviation)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)
    projection = scale[:, None] * _whitening(total * scale[:, None] * scale, n_dims, 0)
    # A domain that does not vary at all along a direction must not make it infinitely long.
    projection = projection @ _whitening(
        projection.T @ (within[0] + within[1]) @ projection / 2, n_dims, 1e-4
    )
    return centre, projection


def _project(rows: NDArray, centre: NDArray, projection: NDArray) -> NDArray:
    out = np.empty((len(rows), projection.shape[1]))
    for i in range(0, len(rows), _CHUNK):
        np.matmul(rows[i : i + _CHUNK] - centre, projection, out=out[i : i + _CHUNK])
    return out


def _whitening(covariance: NDArray, n_dims: int, ridge: float) -> NDArray:
    """(D, d <= n_dims) projection to leading components of unit variance; null directions go."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1][:n_dims] + ridge, vectors[:, ::-1][:, :n_dims]
    keep = values > 1e-9 * values.max(initial=1e-300)
    return vectors[:, keep] / np.sqrt(values[keep])


def _covariance(rows: NDArray, mean: NDArray) -> NDArray:
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for i in range(0, len(rows), _CHUNK):
        centred = rows[i : i + _CHUNK] - mean
        total += centred.T @ centred
    return total / len(rows)


def _released_ratio(
    source: NDArray, target: NDArray, scored: NDArray, n_components: int, seed: int
) -> NDArray:
    try:
        from sklearn.mixture import GaussianMixture
    except ImportError as error:
        raise ImportError('`paper_compat=True` needs scikit-learn') from error
    log_density = []
    for domain in (target, source):
        mixture = GaussianMixture(n_components, random_state=seed, n_init=1, max_iter=200)
        mixture.fit(np.asarray(domain, np.float64))
        log_density.append(mixture.score_samples(np.asarray(scored, np.float64)))
    return log_density[0] - log_density[1]


def _matrix(value: ArrayLike, name: str) -> NDArray:
    value = np.asarray(value)
    if value.ndim != 2 or value.shape[1] == 0:
        raise ValueError(f'Expected `{name}` of shape (N, D), but got {value.shape}')
    if value.dtype != np.float32:
        value = value.astype(np.float64, copy=False)
    if not np.isfinite(value.sum(dtype=np.float64)):
        raise ValueError(f'Expected finite `{name}`, but got NaN or infinity')
    return value
