"""Models on half of the patients each, and one loop with and without differential privacy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset

from nextaim_kit.errors import DataError, RequestError, RunError
from nextaim_kit.machine.seeds import one_thread

Build = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
    batch : int
        Patients in a step, on average if private.
    learning_rate : float
        Of stochastic gradient descent with momentum 0.9.
    weight_decay : float
    epsilon : float, optional
        Differential privacy to be reached at the end of the training; none by default.
    delta : float, optional
        By default a tenth of one over the patients.
    clip : float
        Largest norm of what one patient adds to a step's gradient.
    """

    epochs: int = 30
    batch: int = 16
    learning_rate: float = 0.05
    weight_decay: float = 0.0
    epsilon: float | None = None
    delta: float | None = None
    clip: float = 1.0

    def delta_of(self, patients: int) -> float:
        """Its delta for so many patients."""
        return self.delta or 0.1 / patients


@dataclass(frozen=True)
class Fitted:
    """A network, ready to predict, and the privacy it spent: infinite without any.

    Attributes
    ----------
    net : torch.nn.Module
    epsilon, delta : float
        For one patient, whatever the number of that patient's images.
    noise : float
        Standard deviation of the noise over the clipping norm; 0 without.
    """

    net: nn.Module
    epsilon: float
    delta: float
    noise: float

    def predict(self, x: NDArray) -> NDArray[np.float64]:
        """Probabilities of outcome 1, shape (n,), of inputs as in training."""
        with torch.no_grad():
            logits = self.net(torch.from_numpy(np.asarray(x, np.float32)))
        return torch.sigmoid(logits.reshape(-1).double()).numpy()


class OnePerPatient(Dataset):
    """A patient an item: one of the patient's rows, drawn anew each time.

    So a patient adds one clipped gradient to a step at most, and what is private is the patient
    with all images, not an image.
    """

    def __init__(self, x: NDArray, y: NDArray, groups: ArrayLike) -> None:
        names, member = np.unique(np.asarray(groups), return_inverse=True)
        self.rows = [np.flatnonzero(member == k) for k in range(len(names))]
        self.x = torch.from_numpy(np.asarray(x, np.float32))
        self.y = torch.from_numpy(np.asarray(y, np.float32))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, patient: int) -> tuple[Tensor, Tensor]:
        rows = self.rows[patient]
        row = rows[int(torch.randint(len(rows), (1,)))]
        return self.x[row], self.y[row]


def film_network(seed: int, width: int = 16) -> nn.Module:
    """Four convolutions with batch normalization, for films of one channel; gives one logit."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in ((1, width), (width, width), (width, 2 * width), (2 * width, 2 * width)):
        step = 2 if after == 2 * width or before == 1 else 1
        convolution = nn.Conv2d(before, after, 3, stride=step, padding=1)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(18 * width, 1))


def linear_network(features: int, seed: int) -> nn.Module:
    """A logistic regression, before training."""
    torch.manual_seed(seed)
    return nn.Linear(features, 1)


def private_network(net: nn.Module) -> nn.Module:
    """A network as differential privacy can train it: group in place of batch normalization.

    Batch normalization mixes the patients of a batch, so that what one of them adds has no bound.
    What a normalization gives is copied, since Opacus' hooks bear no change in place after it, as
    residual networks and their activations make.
    """
    from opacus.validators import ModuleValidator

    net = ModuleValidator.fix(net)
    for parent in [*net.modules()]:
        for name, layer in [*parent.named_children()]:
            if isinstance(layer, nn.GroupNorm):
                parent.add_module(name, nn.Sequential(layer, _Copied()))
    return net


class _Copied(nn.Module):
    """Gives a copy of what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clone()


def fit(
    build: Build, x: NDArray, y: NDArray, groups: ArrayLike, training: Training, *, seed: int = 0
) -> Fitted:
    """Train a network of one logit, with differential privacy of the patient where it is asked.

    Parameters
    ----------
    build : callable
        ``build(seed)`` makes the network with its first weights.
    x : array of shape (n, ...)
    y : array of shape (n,)
        Outcomes 0 or 1.
    groups : array-like of shape (n,)
        Patient of each row, the unit of privacy.
    training : Training
    seed : int

    Returns
    -------
    Fitted

    Raises
    ------
    RequestError
        If no noise reaches the epsilon that is asked for.
    RunError
        If a weight is no longer a finite number.

    References
    ----------
    DP-SGD: Abadi et al. 2016, arXiv:1607.00133, by Opacus (Yousefpour et al. 2021,
    arXiv:2109.12298).
    """
    with torch.random.fork_rng(devices=[]), quiet(), one_thread():
        net, data = build(seed), OnePerPatient(x, y, groups)
        torch.manual_seed(seed)
        net = net if training.epsilon is None else private_network(net)
        optimizer = torch.optim.SGD(
            net.parameters(), training.learning_rate, 0.9, weight_decay=training.weight_decay
        )
        batch = min(training.batch, len(data))
        loader = DataLoader(data, batch, shuffle=True)
        spent = (float("inf"), 0.0, 0.0)
        if training.epsilon is not None:
            net, optimizer, loader, spent = make_private(net, optimizer, loader, training, seed)
        net.train()
        for _ in range(training.epochs):
            for inputs, target in loader:
                update(net, optimizer, inputs, target)
    if not all(bool(w.isfinite().all()) for w in net.parameters()):
        raise RunError(
            "the training ended without finite weights", mend="give a lower learning_rate"
        )
    return Fitted(getattr(net, "_module", net).eval(), *spent)


def update(net: nn.Module, optimizer: Any, inputs: Tensor, target: Tensor) -> None:
    """One step of descent; nothing where Poisson sampling drew nobody."""
    optimizer.zero_grad()
    if len(target):
        logits = net(inputs).reshape(-1)
        binary_cross_entropy_with_logits(logits, target).backward()
        optimizer.step()


def make_private(
    net: nn.Module, optimizer: Any, loader: DataLoader, training: Training, seed: int
) -> tuple[nn.Module, Any, DataLoader, tuple[float, float, float]]:
    """The same with noise, clipping and Poisson sampling, and what it spends in all epochs."""
    from opacus import PrivacyEngine

    patients = len(loader.dataset)  # type: ignore[arg-type]
    delta, rate = training.delta_of(patients), 1 / len(loader)
    steps = training.epochs * len(loader)
    noise = noise_for(float(training.epsilon or 0), delta, rate, steps)
    module, optimizer, loader = PrivacyEngine(accountant="rdp").make_private(
        module=net, optimizer=optimizer, data_loader=loader, noise_multiplier=noise,
        max_grad_norm=training.clip, noise_generator=torch.Generator().manual_seed(seed + 1),
    )  # fmt: skip
    return module, optimizer, loader, (spent_by(noise, delta, rate, steps), delta, noise)


@lru_cache(maxsize=256)
def noise_for(epsilon: float, delta: float, rate: float, steps: int) -> float:
    """The least noise by which so many steps at this sampling rate are (epsilon, delta)-private.

    Raises
    ------
    RequestError
        If epsilon is not above 0, or no noise is enough.
    """
    from opacus.accountants.utils import get_noise_multiplier

    if not 0 < epsilon < float("inf"):
        raise RequestError("epsilon is out of bounds", expected="above 0", found=f"{epsilon:g}")
    try:
        with quiet():
            return get_noise_multiplier(
                target_epsilon=epsilon, target_delta=delta, sample_rate=rate, steps=steps,
                accountant="rdp",
            )  # fmt: skip
    except ValueError as error:
        raise RequestError(
            f"no noise makes this training {epsilon:g}-private",
            expected="a larger epsilon", mend="ask for more, or train for fewer epochs",
        ) from error  # fmt: skip


@lru_cache(maxsize=256)
def spent_by(noise: float, delta: float, rate: float, steps: int) -> float:
    """Epsilon that so many steps with this noise have spent."""
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise, rate, steps)]
    with quiet():
        return float(accountant.get_epsilon(delta))


@contextmanager
def quiet() -> Iterator[None]:
    """Without Opacus' words on its random numbers, which are seeded here so that runs repeat."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="opacus")
        warnings.filterwarnings("ignore", message="Full backward hook")
        warnings.filterwarnings("ignore", message="Optimal order is the")
        warnings.filterwarnings("ignore", message="grad and param do not obey")
        yield


def network_predictions(
    build: Build,
    x: NDArray,
    y: NDArray,
    groups: ArrayLike,
    inside: NDArray[np.bool_],
    training: Training,
    *,
    seed: int = 0,
) -> NDArray[np.float64]:
    """What each model says of all rows, a model trained on the rows that are inside.

    Returns
    -------
    array of shape (models, n)
        Probabilities of outcome 1.
    """
    who = np.asarray(groups)
    return np.array([
        fit(build, x[held], y[held], who[held], training, seed=seed + k).predict(x)
        for k, held in enumerate(inside)
    ])  # fmt: skip


def table_predictions(
    make: Callable[[int], Any], x: NDArray, y: NDArray, inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """As `network_predictions`, of estimators with ``predict_proba`` that `make(seed)` gives.

    Raises
    ------
    DataError
        If the rows inside a model are of one outcome.
    """
    found = []
    for k, held in enumerate(inside):
        if len(np.unique(y[held])) < 2:
            raise DataError(
                "half of the patients have one outcome only",
                expected="outcomes 0 and 1 among those who train", mend="give more patients",
            )  # fmt: skip
        found.append(make(k).fit(x[held], y[held]).predict_proba(x)[:, 1])
    return np.array(found)


def best_rate(
    build: Build,
    train: tuple[NDArray, NDArray, ArrayLike],
    val: tuple[NDArray, NDArray],
    training: Training,
    rates: tuple[float, ...],
    *,
    seed: int = 0,
) -> tuple[Fitted, float]:
    """Train at each learning rate, and keep the one with the lowest loss on other patients.

    What the choice tells of the patients is not in the epsilon of what it returns: by the plain
    sum it is as many times as large as there are rates.

    Returns
    -------
    (Fitted, float)
        The network and its learning rate.
    """
    tried = []
    for rate in rates:
        one = fit(build, *train, replace(training, learning_rate=rate), seed=seed)
        p = one.predict(val[0]).clip(1e-6, 1 - 1e-6)
        loss = float(-np.where(val[1] == 1, np.log(p), np.log(1 - p)).mean())
        tried.append((loss, rate, one))
    _, rate, one = min(tried, key=lambda found: found[:2])
    return one, rate
