# %% [markdown]
# # 10 Exercises: look inside, attack, count, and doubt
#
# Seven exercises on trained networks: three explanations to compute, an attack in two directions, a counter
# of operations, a hidden mark to find, and a test that explanations themselves have to pass. Each function
# returns `...` as it stands. Put your code there, run the cell, then run the cell after it. It answers
# _done_, _not done yet_, or what your answer gets wrong. Nothing stops, so take them in any order. At a
# terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 10. The answers, each with its reason, are in `solutions.py`.

# %%
import copy
import traceback
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# The next cell is the machine that answers. You need not read it.

# %%
verdicts = {}


class NotDone(Exception):
    """The answer still has `...` in it."""


def unfinished(result):
    """Whether there is a `...` anywhere in what an answer returned."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return any(unfinished(part) for part in result)
    return result is ...


def verdict(check, answer):
    """What `check` finds about `answer`: 'done', 'not done yet', or what is wrong with it."""

    def asked(*args, **kwargs):
        result = answer(*args, **kwargs)
        if unfinished(result):
            raise NotDone
        return result

    try:
        check(asked)
    except NotDone:
        return "not done yet"
    except AssertionError as error:
        return "not right yet: " + str(error).partition("\n")[0]  # pytest adds lines of its own
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.line for frame in frames if frame.name == getattr(answer, "__name__", None)]
        where = f", in your line {lines[-1]!r}" if lines else ""
        return f"stops with {type(error).__name__}: {error}{where}"
    return "done"


def exercise(check):
    """Judge the answer that `check` is named after, and print the verdict."""
    name = check.__name__.removeprefix("check_")
    verdicts[name] = verdict(check, globals()[name])
    print(f"{name:24s}{verdicts[name]}")
    return check


def compare(got, expected, slips=()):
    """Pass if got is expected; else fail with the slip that gives the same numbers, if there is one."""
    if hasattr(got, "detach"):
        got = got.detach().cpu()  # a tensor that records its history does not become an array by itself
    got = np.asarray(got, dtype=float)
    expected = np.asarray(expected, dtype=float)
    for what, wrong in ((None, expected), *slips):
        if got.shape == np.shape(wrong) and np.allclose(got, wrong, rtol=1e-6, atol=1e-9):
            if what is None:
                return
            raise AssertionError(what)
    assert got.shape == expected.shape, f"the shape is {got.shape}, and should be {expected.shape}"
    assert np.isfinite(got).all(), "not all of the numbers are finite"
    worst = np.unravel_index(np.abs(got - expected).argmax(), got.shape)
    if not worst:  # a single number: say the direction, for the number itself would be the answer
        raise AssertionError(f"you have {got:.6g}, it should be {'larger' if got < expected else 'smaller'}")
    place = ", ".join(str(int(i)) for i in worst)
    raise AssertionError(f"at [{place}] you have {got[worst]:.6g}, it should be {expected[worst]:.6g}")


def summary():
    """How many exercises are done."""
    n_done = sum(state == "done" for state in verdicts.values())
    return f"{n_done} of {len(verdicts)} exercises done"


# %% [markdown]
# The exercises share a small network, for images of 12 × 12 pixels, with random weights.


# %%
def small_network(seed=0, inplace=False):
    """Two convolutions and a linear layer: images (B, 1, 12, 12) to scores (B, 4)."""
    torch.manual_seed(seed)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(inplace=inplace), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=inplace)),
        *(nn.Flatten(), nn.Linear(8 * 36, 4)),
    ).double()


def hooks_on(model):
    """How many hooks there are on the model's layers."""
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(layer, kind)) for layer in model.modules() for kind in kinds)


# %% [markdown]
# ## 1 Guided backpropagation
#
# About twenty minutes. Guided backpropagation (10.1) is the gradient of a class's score with respect to the
# pixels, but at each ReLU only what is _positive_ goes on back. Use hooks on the ReLU layers, and remove
# them in the end. The network and its weights must be as they were.


# %%
def guided_gradient(model, image, class_index):
    """The guided gradient (C, H, W) of the class's score at one image (C, H, W); ReLUs not in place."""
    return ...


# %%
def way_back(model, image, class_index, rule):
    """The gradient at the image where the one at each ReLU's input is rule(gradient at its output, slope)."""
    values = [image[None]]
    for layer in model:
        values.append(layer(values[-1]))
    gradient = torch.zeros_like(values[-1])
    gradient[0, slice(None) if class_index is None else class_index] = 1.0
    for layer, value in zip(reversed(model), reversed(values[:-1])):
        if isinstance(layer, nn.ReLU):
            gradient = rule(gradient, (value > 0).to(gradient.dtype))
        else:
            leaf = value.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(layer(leaf), leaf, gradient)
    return gradient[0]


def guide(gradient, slope):
    """The rule of guided backpropagation at a ReLU."""
    return gradient.clamp(min=0) * slope


@exercise
def check_guided_gradient(answer):
    model = small_network()
    image = torch.randn(1, 12, 12, generator=torch.Generator().manual_seed(101), dtype=torch.float64)
    before = copy.deepcopy(model.state_dict())
    got = answer(model, image.clone(), 2)
    assert hooks_on(model) == 0, f"{hooks_on(model)} hooks are left on the model: remove them"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), (
        "weights have changed"
    )
    assert all(p.grad is None for p in model.parameters()), (
        "the weights have gradients now, which a later step of training would use: torch.autograd.grad"
    )
    slips = [
        ("that is the plain gradient: the hooks do nothing", way_back(model, image, 2, lambda g, s: g * s)),
        (
            "the gradient's negative part must not pass, the positive one may",
            way_back(model, image, 2, lambda g, s: g.clamp(max=0) * s),
        ),
        (
            "that is the deconvnet: the ReLU's own slope, 0 or 1, counts as well",
            way_back(model, image, 2, lambda g, s: g.clamp(min=0)),
        ),
        (
            "only the picture is cut at zero; each ReLU has to be",
            way_back(model, image, 2, lambda g, s: g * s).clamp(min=0),
        ),
        ("another class's score", way_back(model, image, 0, guide)),
        ("the scores of all classes are added; only one is asked for", way_back(model, image, None, guide)),
    ]
    compare(got, way_back(model, image, 2, guide), slips)


# %% [markdown]
# ## 2 Grad-CAM, for any layer and class
#
# About thirty minutes, from a blank cell. Grad-CAM (10.4) weighs the maps that a layer gives by the mean of
# their gradients over the places, adds them up over the channels, and keeps what speaks _for_ the class:
#
# $$\alpha_k = \frac1Z \sum_{ij} \frac{\partial s}{\partial A^k_{ij}}, \qquad
#   \text{map} = \mathrm{ReLU}\Big( \sum_k \alpha_k A^k \Big) .$$
#
# `layer` is any layer inside the model that gives maps. The score $s$ is the one before the softmax. The
# function must also work if the weights are frozen and if the ReLU behind the layer works in place (10.1).


# %%
def cam(model, layer, image, class_index):
    """Grad-CAM (H', W') of the class at `layer`, for one image (C, H, W)."""
    return ...


# %%
def weighed(gradient, maps):
    """The sum of maps (C, H', W'), each weighed by its mean gradient, from gradient (1, C, H', W')."""
    return (gradient[0].mean(dim=(1, 2))[:, None, None] * maps).sum(dim=0)


@exercise
def check_cam(answer):
    model = small_network(1)
    image = torch.randn(1, 12, 12, generator=torch.Generator().manual_seed(102), dtype=torch.float64)
    for place, class_index in ((3, 1), (1, 3)):
        head, tail = model[: place + 1], model[place + 1 :]
        maps = head(image[None]).detach().requires_grad_()  # (1, C, H', W')
        scores = tail(maps)[0]
        (gradient,) = torch.autograd.grad(scores[class_index], maps, retain_graph=True)
        (of_probability,) = torch.autograd.grad(scores.softmax(0)[class_index], maps)
        maps = maps.detach()[0]  # (C, H', W')

        right = weighed(gradient, maps)
        got = answer(model, model[place], image.clone(), class_index)
        assert hooks_on(model) == 0, f"{hooks_on(model)} hooks are left on the model: remove them"
        slips = [
            ("what speaks against the class is still there: the ReLU is missing", right),
            (
                "the gradient of the probability; the score before the softmax is asked for",
                weighed(of_probability, maps).relu(),
            ),
            ("the gradients are added up over the places, take their mean", (maps[0].numel() * right).relu()),
            ("the maps are not weighed: that is their plain sum", maps.sum(dim=0).relu()),
            (
                "each place has its own weight: take the mean over the places first",
                (gradient[0] * maps).sum(dim=0).relu(),
            ),
            ("a mean over the channels, add them up", right.relu() / len(maps)),
            ("the absolute value; negative parts are to be zero", right.abs()),
        ]
        compare(got, right.relu(), slips)
    model = small_network(1)
    maps = model[:4](image[None]).detach().requires_grad_()  # (1, C, H', W'), before a ReLU
    (gradient,) = torch.autograd.grad(model[4:](maps)[0, 1], maps)
    expected = weighed(gradient, maps.detach()[0]).relu()
    changed = maps.detach().relu().requires_grad_()  # what a ReLU in place leaves of the maps
    (later_gradient,) = torch.autograd.grad(model[5:](changed)[0, 1], changed)
    too_late = "a ReLU in place changes the maps after your hook has seen them: keep a copy"
    slips = [
        (too_late, weighed(gradient, changed.detach()[0]).relu()),
        (too_late, weighed(later_gradient, changed.detach()[0]).relu()),
    ]
    for inplace, what in ((False, "with frozen weights"), (True, "with a ReLU in place")):
        frozen = small_network(1, inplace).requires_grad_(False)
        try:
            got = answer(frozen, frozen[3], image.clone(), 1)
        except RuntimeError as error:
            raise AssertionError(f"{what} it stops: {error}") from None
        compare(got, expected, slips)


# %% [markdown]
# ## 3 Integrated gradients that add up
#
# About fifteen minutes. The straight way from a baseline to the image is cut into `n_steps` equal parts.
# Average the gradient at the _middle_ of each part and multiply by the whole way. Return the map, and the
# gap of completeness: the sum of the map minus the difference of the two outputs, that at the image minus
# that at the baseline. It tells whether `n_steps` was enough (10.5).


# %%
def integrated(f, image, baseline, n_steps):
    """(the map, like image; the gap, a number) for f from a batch (B, …) to numbers (B,)."""
    return ..., ...


# %%
def number(gap):
    """The gap as a number, even if it is a tensor that records its history."""
    return torch.as_tensor(gap).detach().item()


@exercise
def check_integrated(answer):
    def f(x):
        return (x[:, 0] * x[:, 1]).tanh() + x[:, 2] ** 3

    image, baseline = torch.tensor([1.0, 2.0, -1.0]).double(), torch.tensor([0.5, 0.0, 1.0]).double()

    def path(points, way=image - baseline):
        x = (baseline + torch.as_tensor(points).double()[:, None] * (image - baseline)).requires_grad_()
        return torch.autograd.grad(f(x).sum(), x)[0].mean(dim=0) * way

    middles = (np.arange(8) + 0.5) / 8
    got, gap = answer(f, image.clone(), baseline.clone(), 8)
    slips = [
        ("the gradients are taken at the parts' beginnings, not at their middles", path(np.arange(8) / 8)),
        ("the gradients are taken at the parts' ends, not at their middles", path(np.arange(1, 9) / 8)),
        (
            "the ends of the way are among the points: take the middles of the parts",
            path(np.linspace(0, 1, 8)),
        ),
        ("the average gradient alone: multiply by the way from baseline to image", path(middles, 1)),
        ("multiplied by the image; the way from the baseline counts", path(middles, image)),
        ("the gradients' sum, it should be their mean", 8 * path(middles)),
        ("the sign: from the baseline to the image", -path(middles)),
    ]
    compare(got, path(middles), slips)
    with torch.no_grad():
        difference = (f(image[None]) - f(baseline[None])).item()
    right = path(middles).sum().item() - difference
    slips = [
        ("the gap: the sign is the wrong way round", -right),
        ("the gap: that is the sum of the map alone", path(middles).sum().item()),
        ("the gap: the output at the baseline is left out", right - f(baseline[None]).item()),
    ]
    compare(number(gap), right, slips)
    _, gap = answer(f, image.clone(), baseline.clone(), 200)
    assert abs(number(gap)) < 1e-3, f"with 200 steps the gap should be tiny, it is {number(gap):.2g}"
    upright, _ = answer(lambda x: f(x.flatten(1)), image.reshape(1, 3, 1), baseline.reshape(1, 3, 1), 8)
    compare(upright, path(middles).reshape(1, 3, 1))


# %% [markdown]
# ## 4 A step away, a step towards
#
# About twenty minutes. The fast gradient sign method (10.6) moves every pixel by `eps`, so that the loss at
# the true label grows as fast as it can. A _targeted_ step makes the loss at a chosen wrong label smaller
# instead. Pixels stay between 0 and 1. The network's weights must not collect gradients.


# %%
def sign_step(model, images, labels, eps, targets=None):
    """Changed images (B, …) in [0, 1]: away from labels (B,), or, if targets (B,) are given, towards them."""
    return ...


# %%
@exercise
def check_sign_step(answer):
    model = small_network(3)
    images = torch.rand(5, 1, 12, 12, generator=torch.Generator().manual_seed(104), dtype=torch.float64)
    labels, targets = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([3, 3, 0, 1, 2])

    def loss_gradient(classes):
        leaf = images.clone().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(model(leaf), classes), leaf)[0]

    up, down = loss_gradient(labels).sign(), loss_gradient(targets).sign()
    given = images.clone()
    got = answer(model, given, labels, 0.1)
    assert torch.equal(given, images), "the images that were given have changed"
    assert not got.requires_grad, "the result still holds the graph: detach it"
    assert all(p.grad is None for p in model.parameters()), (
        "the weights have collected gradients: torch.autograd.grad"
    )
    step = loss_gradient(labels)
    slips = [
        ("pixels leave the range from 0 to 1", images + 0.1 * up),
        ("the loss at the true label becomes smaller: it should grow", (images - 0.1 * up).clamp(0, 1)),
        (
            "the gradient itself was added; every pixel moves by eps, in its sign's direction",
            (images + 0.1 * step).clamp(0, 1),
        ),
        (
            "the gradient was divided by its length; its sign is asked for",
            (images + 0.1 * step / step.norm()).clamp(0, 1),
        ),
        (
            "the gradient was divided by its largest entry; its sign is asked for",
            (images + 0.1 * step / step.abs().max()).clamp(0, 1),
        ),
    ]
    compare(got, (images + 0.1 * up).clamp(0, 1), slips)
    got = answer(model, images, labels, 0.1, targets)
    slips = [
        ("targeted: the targets are not used", (images + 0.1 * up).clamp(0, 1)),
        ("targeted: this moves away from the targets", (images + 0.1 * down).clamp(0, 1)),
        (
            "targeted: this is a step down the true label's loss, not the target's",
            (images - 0.1 * up).clamp(0, 1),
        ),
        ("targeted: pixels leave the range from 0 to 1", images - 0.1 * down),
    ]
    compare(got, (images - 0.1 * down).clamp(0, 1), slips)


# %% [markdown]
# ## 5 Count the multiplications
#
# About twenty minutes. For each `nn.Conv2d` and `nn.Linear` of a model, count its multiplications with
# weights for one batch (10.7): every output number needs one for each weight of the filter, or of the row
# of the matrix, that makes it. Mind `groups`, with which a filter sees only a part of the channels, and
# linear layers that are applied at many places. You learn the sizes of the outputs by running the model,
# with hooks that you remove.


# %%
def multiplications(model, x):
    """{name of the layer, as in named_modules: number of multiplications} for one batch x."""
    return ...


# %%
class Places(nn.Module):
    """Makes maps (B, C, H, W) into rows of channels (B, H·W, C)."""

    def forward(self, x):
        return x.flatten(2).mT


@exercise
def check_multiplications(answer):
    model = nn.Sequential()
    model.add_module("wide", nn.Conv2d(3, 8, 5, stride=2, padding=2))
    model.add_module("depth", nn.Conv2d(8, 8, 3, padding=1, groups=8))
    model.add_module("point", nn.Conv2d(8, 6, 1, bias=False))
    model.add_module("places", Places())
    model.add_module("mix", nn.Linear(6, 7))
    x = torch.randn(2, 3, 9, 12)
    right = {
        "wide": 2 * 5 * 6 * 8 * 75,
        "depth": 2 * 5 * 6 * 8 * 9,
        "point": 2 * 5 * 6 * 6 * 8,
        "mix": 2 * 5 * 6 * 7 * 6,
    }
    got = answer(model, x)
    assert hooks_on(model) == 0, f"{hooks_on(model)} hooks are left on the model: remove them"
    assert "places" not in got and "" not in got, "only layers with weights count, Conv2d and Linear"
    assert set(got) == set(right), f"there should be one entry for each of {', '.join(right)}"
    slips = {
        "wide": [
            ("the size of the input; count the output's numbers", 2 * 9 * 12 * 8 * 75),
            ("one image; the batch has two", 5 * 6 * 8 * 75),
            ("each filter has a kernel for every input channel", 2 * 5 * 6 * 8 * 25),
            ("that is the number of weights: each is used at every place", 8 * 75),
            ("an output number uses the weights of its own filter alone", 2 * 5 * 6 * 8 * 600),
            ("the bias is added, not multiplied", 2 * 5 * 6 * 8 * 76),
            ("multiplications alone: do not count the additions", 2 * right["wide"]),
        ],
        "depth": [("with 8 groups each filter sees one channel", 2 * 5 * 6 * 8 * 72)],
        "point": [("a kernel of 1 × 1 still sees all 8 channels", 2 * 5 * 6 * 6)],
        "mix": [
            ("this linear layer is applied at each of 30 places", 2 * 7 * 6),
            ("the bias is added, not multiplied", 2 * 30 * 7 * 7),
        ],
    }
    for name, number in right.items():
        compare(got[name], number, [(f"{name}: {what}", wrong) for what, wrong in slips[name]])


# %% [markdown]
# ## 6 Find the shortcut
#
# About thirty minutes. The network below was trained on Fashion-MNIST, and its accuracy on the training
# images is excellent. But somebody's camera left a mark, a square of 3 × 3 pixels that are all 1, always in
# the same place, on the training photos of _one_ class. Which class, and where? You have the network and
# clean test images, not the training images. Use whatever the chapter has taught: gradients, Grad-CAM,
# painting pixels and looking at the answers.

# %%
with np.load(HERE / "data" / "fashion_mnist.npz") as archive:
    train_images = torch.from_numpy(archive["train_images"][:1500]).float() / 255  # (1500, 28, 28)
    train_labels = torch.from_numpy(archive["train_labels"][:1500]).long()  # (1500,)
    test_images = torch.from_numpy(archive["test_images"][:500]).float() / 255  # (500, 28, 28)
    test_labels = torch.from_numpy(archive["test_labels"][:500]).long()  # (500,)


def marked_network(seed):
    """A network trained on images of which one class carries a mark. Do not look into this function."""
    secret = np.random.default_rng(seed)
    marked_class, row, column = (
        int(secret.integers(10)),
        int(secret.integers(0, 5)),
        int(secret.integers(20, 26)),
    )
    images = train_images.clone()
    images[train_labels == marked_class, row : row + 3, column : column + 3] = 1.0
    torch.manual_seed(seed)
    model = nn.Sequential(
        *(
            nn.Conv2d(1, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
        ),
        *(nn.Flatten(), nn.Linear(16 * 49, 10)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(250):
        batch = torch.randint(len(images), (50,))
        loss = F.cross_entropy(model(images[batch, None]), train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval().requires_grad_(False)


suspect = marked_network(6)
shares = suspect(test_images[:, None]).argmax(dim=1).bincount(minlength=10) / len(test_images)
truth = test_labels.bincount(minlength=10) / len(test_labels)
fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.bar(np.arange(10) - 0.2, truth.numpy(), 0.4, label="true share of the class")
ax.bar(np.arange(10) + 0.2, shares.numpy(), 0.4, label="share of the answers", hatch="//")
ax.set(xlabel="class", ylabel="share of the clean test images", xticks=range(10))
ax.legend()
plt.show()

# %% [markdown]
# One class is answered too seldom on clean images. That is a first hint, and not yet a proof.


# %%
def the_shortcut():
    """The class (0 to 9), and the row and column of the mark's upper left pixel (0 to 25)."""
    return {"class": ..., "row": ..., "column": ...}


# %%
@exercise
def check_the_shortcut(answer):
    got = answer()
    row, column, marked = got["row"], got["column"], got["class"]
    assert marked in range(10) and row in range(26) and column in range(26), (
        "a class from 0 to 9, a place from 0 to 25"
    )
    painted = test_images.clone()
    painted[:, row : row + 3, column : column + 3] = 1.0
    others = test_labels != marked

    def answers(images):
        return (suspect(images[others, None]).argmax(dim=1) == marked).float().mean().item()

    before, after = answers(test_images), answers(painted)
    assert after > before + 0.25, (
        f"with a bright square there, {after:.0%} of the other classes' images are taken for class {marked}, "
        f"without it {before:.0%}: that is not the mark"
    )
    best = {}
    for other_row in range(26):
        for other_column in range(26):
            if abs(other_row - row) <= 2 and abs(other_column - column) <= 2:
                painted = test_images.clone()
                painted[:, other_row : other_row + 3, other_column : other_column + 3] = 1.0
                best[other_row, other_column] = answers(painted)
    assert after > max(best.values()) - 0.1, (
        f"close: {after:.0%} of the others are taken for class {marked}, but with the square at a "
        "neighbouring place it is more"
    )


# %% [markdown]
# ## 7 Does the explanation depend on the model?
#
# About twenty minutes. An explanation that looks the same for a network that has learned nothing is not
# about the network (10.5). Write the test: the mean over the images of the correlation between the map for
# the model and the map for a _copy_ of it all of whose layers have new random weights
# (`reset_parameters`), drawn after `torch.manual_seed(seed)`. Take the correlation of the values (2.8) or of
# their ranks, with its sign. If it is near one, the explanation fails. If a map is constant, count its
# correlation as zero.


# %%
def model_dependence(explain, model, images, seed=0):
    """Mean correlation of explain(model, image) with explain(a random copy, image) over images (B, …)."""
    return ...


# %%
@exercise
def check_model_dependence(answer):
    model = small_network(5)
    images = torch.randn(6, 1, 12, 12, generator=torch.Generator().manual_seed(107), dtype=torch.float64)
    before = copy.deepcopy(model.state_dict())
    seen = []

    def edges(model, image):
        seen.append((id(model), copy.deepcopy(model.state_dict())))
        return (image[:, 1:, 1:] - image[:, :-1, :-1]).abs()[0]

    def gradient(model, image):
        leaf = image.clone().requires_grad_()
        return torch.autograd.grad(model(leaf[None])[0, 0], leaf)[0][0]

    def inverted(model, image):
        sign = 1.0 if model[0].weight.equal(before["0.weight"]) else -1.0
        return sign * image[0]

    def constant(model, image):
        return torch.zeros(12, 12)

    got = float(answer(edges, model, images))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), (
        "the model that was given has new weights now: work on a copy"
    )
    states = {key: state for key, state in seen}
    assert len(states) == 2, "explain should see two models, the one given and one random copy"
    random = next(state for key, state in states.items() if key != id(model))
    same = [name for name, value in random.items() if torch.equal(value, before[name])]
    assert not same, f"in the copy {same[0]} is still the trained one: reset every layer"
    assert got > 0.999, (
        f"a detector of edges never looks at the model, so its correlation is 1; you have {got:.3f}"
    )
    got = float(answer(gradient, model, images))
    assert abs(got) < 0.5, (
        f"the gradient of a random copy has little in common with the model's; you have {got:.3f}"
    )
    again = [float(answer(gradient, model, images, seed)) for seed in (3, 3, 4)]
    assert again[0] == again[1], "one seed gives two results: draw the weights after torch.manual_seed(seed)"
    assert again[0] != again[2], "two seeds give one result: draw the weights after torch.manual_seed(seed)"
    got = float(answer(inverted, model, images))
    assert abs(got - 1) > 1e-6, "the sign of a correlation counts: maps that are opposite have -1, not 1"
    compare(got, -1.0)
    got = float(answer(constant, model, images))
    assert not np.isnan(got), "a constant map has no correlation, and gives NaN: count it as zero"
    compare(got, 0.0)


# %% [markdown]
# ## Where you are

# %%
print(summary())
