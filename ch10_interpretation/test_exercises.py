"""The exercises of chapter 10: the answers pass, stubs are 'not done yet', and known slips are named."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

# 1


def guided(rule, pick=lambda scores, k: scores[k], after=lambda g: g, leave=False, backward=False):
    """An answer to exercise 1; rule: of the gradients at a ReLU's input and its output."""

    def answer(model, image, class_index):
        def hook(layer, grad_input, grad_output):
            return (rule(grad_input[0], grad_output[0]),)

        layers = [layer for layer in model.modules() if isinstance(layer, nn.ReLU)]
        handles = [layer.register_full_backward_hook(hook) for layer in layers]
        leaf = image.clone().requires_grad_()
        score = pick(model(leaf[None])[0], class_index)
        if backward:
            score.backward()
            gradient = leaf.grad
        else:
            gradient = torch.autograd.grad(score, leaf)[0]
        for handle in handles if not leave else ():
            handle.remove()
        return after(gradient)

    return answer


def only_positive(at_input, at_output):
    return at_input.clamp(min=0)


# 2


def camera(
    weights=lambda g: g.mean(dim=(1, 2)),
    rectify=True,
    of=lambda s, k: s[k],
    total=torch.sum,
    leave=False,
    fresh=True,
    record=False,
):
    """An answer to exercise 2; fresh: the hook begins a graph; record: the image begins one."""

    def answer(model, layer, image, class_index):
        kept = []

        def hook(layer, inputs, output):
            maps = output.detach().clone().requires_grad_() if fresh else output
            kept.append(maps)
            return maps.clone() if fresh else None

        handle = layer.register_forward_hook(hook)
        score = of(model(image[None].clone().requires_grad_(record))[0], class_index)
        (gradient,) = torch.autograd.grad(score, kept[0])
        if not leave:
            handle.remove()
        w = weights(gradient[0])
        w = w if w.ndim == 3 else w[:, None, None]
        result = total(w * kept[0].detach()[0], dim=0)
        return rectify(result) if callable(rectify) else result.relu() if rectify else result

    return answer


def by_tensor_hook(model, layer, image, class_index):
    """An answer to exercise 2 that keeps the maps themselves and catches their gradient."""
    kept = {}

    def hook(layer, inputs, output):
        kept["maps"] = output
        output.register_hook(lambda gradient: kept.update(gradient=gradient))

    handle = layer.register_forward_hook(hook)
    leaf = image.clone().requires_grad_()
    torch.autograd.grad(model(leaf[None])[0, class_index], leaf)
    handle.remove()
    alpha = kept["gradient"].mean(dim=(2, 3), keepdim=True)
    return (alpha * kept["maps"]).sum(dim=1)[0].relu()


# 3


def path(
    points=lambda n: (np.arange(n) + 0.5) / n,
    factor="way",
    scale=lambda n: 1.0,
    gap=lambda total, f1, f0: total - f1 + f0,
    flat=False,
):
    """An answer to exercise 3; flat: it knows images of one axis alone."""

    def answer(f, image, baseline, n_steps):
        way = image - baseline
        shares = torch.from_numpy(points(n_steps)).double()
        shares = shares[:, None] if flat else shares.reshape(-1, *[1] * image.ndim)
        x = (baseline + shares * way).requires_grad_()
        mean = torch.autograd.grad(f(x).sum(), x)[0].mean(dim=0)
        result = scale(n_steps) * mean * {"way": way, "image": image, "none": 1.0}[factor]
        with torch.no_grad():
            return result, gap(result.sum(), f(image[None]), f(baseline[None])).item()

    return answer


# 4


def stepped(
    step=lambda g: g.sign(),
    direction=1,
    targeted=True,
    down=False,
    clamp=True,
    away=False,
    backward=False,
    keep=False,
):
    """An answer to exercise 4."""

    def answer(model, images, labels, eps, targets=None):
        leaf = images.clone().requires_grad_()
        towards = targets is not None and targeted
        loss = F.cross_entropy(model(leaf), targets if towards else labels)
        if backward:
            loss.backward()
        gradient = torch.autograd.grad(F.cross_entropy(model(leaf), targets if towards else labels), leaf)[0]
        back = (towards and not away) or (down and targets is not None)
        sign = direction * (-1 if back else 1)
        moved = (leaf if keep else images) + sign * eps * step(gradient)
        return moved.clamp(0, 1) if clamp else moved

    return answer


# 5


def counted(
    size=lambda layer, inp, out: out.numel() * layer.weight[0].numel(),
    kinds=(nn.Conv2d, nn.Linear),
    leave=False,
):
    """An answer to exercise 5."""

    def answer(model, x):
        names = {layer: name for name, layer in model.named_modules() if isinstance(layer, kinds)}
        counts = {}

        def hook(layer, inputs, output):
            counts[names[layer]] = size(layer, inputs[0], output)

        handles = [layer.register_forward_hook(hook) for layer in names]
        model(x)
        for handle in handles if not leave else ():
            handle.remove()
        return counts

    return answer


def without_groups(layer, inp, out):
    if isinstance(layer, nn.Linear):
        return out.numel() * layer.in_features
    return out.numel() * layer.in_channels * layer.kernel_size[0] ** 2


def one_kernel(layer, inp, out):
    return out.numel() * (layer.kernel_size[0] ** 2 if isinstance(layer, nn.Conv2d) else layer.in_features)


def once_per_image(layer, inp, out):
    return 2 * layer.weight.numel() if isinstance(layer, nn.Linear) else out.numel() * layer.weight[0].numel()


# 6

MARK = {"class": 4, "row": 2, "column": 23}


def found(**wrong):
    """An answer to exercise 6 in which something is wrong (`label` for "class")."""
    wrong = {"class" if name == "label" else name: value for name, value in wrong.items()}
    return lambda: MARK | wrong


# 7


def dependence(
    new=copy.deepcopy,
    which=lambda layers: layers,
    average=lambda values: np.mean(values),
    safe=True,
    seeding=torch.manual_seed,
):
    """An answer to exercise 7."""

    def answer(explain, model, images, seed=0):
        trained = [np.asarray(explain(model, image)).ravel() for image in images]
        random = new(model)
        seeding(seed)
        for layer in which([m for m in random.modules() if hasattr(m, "reset_parameters")]):
            layer.reset_parameters()
        values = []
        for image, ours in zip(images, trained):
            theirs = np.asarray(explain(random, image)).ravel()
            constant = ours.std() == 0 or theirs.std() == 0
            with np.errstate(all="ignore"):
                values.append(0.0 if constant and safe else np.corrcoef(ours, theirs)[0, 1])
        return average(values)

    return answer


# name of the exercise -> [(a wrong answer, what the verdict must say of it)]
WRONG = {
    "guided_gradient": [
        (guided(lambda at_input, at_output: at_input), "that is the plain gradient"),
        (guided(lambda at_input, at_output: at_input.clamp(max=0)), "must not pass"),
        (guided(lambda at_input, at_output: at_output.clamp(min=0)), "that is the deconvnet"),
        (
            guided(lambda at_input, at_output: at_input, after=lambda g: g.clamp(min=0)),
            "only the picture is cut",
        ),
        (guided(only_positive, pick=lambda scores, k: scores[0]), "another class's score"),
        (guided(only_positive, pick=lambda scores, k: scores.sum()), "the scores of all classes"),
        (guided(only_positive, leave=True), "hooks are left"),
        (guided(only_positive, backward=True), "the weights have gradients"),
    ],
    "cam": [
        (camera(rectify=False), "the ReLU is missing"),
        (camera(rectify=torch.abs), "the absolute value"),
        (camera(of=lambda s, k: s.softmax(0)[k]), "the gradient of the probability"),
        (camera(weights=lambda g: g.sum(dim=(1, 2))), "take their mean"),
        (camera(weights=lambda g: torch.ones(len(g))), "the maps are not weighed"),
        (camera(weights=lambda g: g), "take the mean over the places"),
        (camera(total=torch.mean), "a mean over the channels"),
        (camera(leave=True), "hooks are left"),
        (camera(fresh=False), "with frozen weights it stops"),
        (camera(fresh=False, record=True), "a ReLU in place changes the maps"),
        (by_tensor_hook, "a ReLU in place changes the maps"),
    ],
    "integrated": [
        (path(points=lambda n: np.arange(n) / n), "at the parts' beginnings"),
        (path(points=lambda n: np.arange(1, n + 1) / n), "at the parts' ends"),
        (path(points=lambda n: np.linspace(0, 1, n)), "the ends of the way"),
        (path(factor="none"), "the average gradient alone"),
        (path(factor="image"), "multiplied by the image"),
        (path(scale=lambda n: float(n)), "it should be their mean"),
        (path(scale=lambda n: -1.0), "from the baseline to the image"),
        (path(gap=lambda total, f1, f0: f1 - f0 - total), "the gap: the sign"),
        (path(gap=lambda total, f1, f0: total), "the sum of the map alone"),
        (path(gap=lambda total, f1, f0: total - f1), "is left out"),
        (path(flat=True), "stops with RuntimeError"),
    ],
    "sign_step": [
        (stepped(clamp=False), "pixels leave the range"),
        (stepped(direction=-1), "it should grow"),
        (stepped(step=lambda g: g), "the gradient itself was added"),
        (stepped(step=lambda g: g / g.norm()), "divided by its length"),
        (stepped(step=lambda g: g / g.abs().max()), "divided by its largest entry"),
        (stepped(targeted=False), "the targets are not used"),
        (stepped(away=True), "away from the targets"),
        (stepped(targeted=False, down=True), "down the true label's loss"),
        (stepped(backward=True), "have collected gradients"),
        (stepped(keep=True), "still holds the graph"),
    ],
    "multiplications": [
        (counted(lambda layer, inp, out: inp[:, 0].numel() * layer.weight.numel()), "the size of the input"),
        (counted(lambda layer, inp, out: out[0].numel() * layer.weight[0].numel()), "one image"),
        (counted(one_kernel), "for every input channel"),
        (counted(lambda layer, inp, out: layer.weight.numel()), "used at every place"),
        (counted(lambda layer, inp, out: out.numel() * layer.weight.numel()), "of its own filter alone"),
        (
            counted(lambda layer, inp, out: out.numel() * (layer.weight[0].numel() + 1)),
            "added, not multiplied",
        ),
        (
            counted(lambda layer, inp, out: 2 * out.numel() * layer.weight[0].numel()),
            "do not count the additions",
        ),
        (counted(without_groups), "with 8 groups"),
        (counted(once_per_image), "at each of 30 places"),
        (counted(leave=True), "hooks are left"),
        (counted(kinds=(nn.Conv2d,)), "one entry for each of"),
    ],
    "the_shortcut": [
        (found(label=7), "that is not the mark"),
        (found(row=20, column=3), "that is not the mark"),
        (found(row=0, column=21), "not the mark"),
        (found(label=10), "a class from 0 to 9"),
    ],
    "model_dependence": [
        (dependence(new=lambda model: model), "work on a copy"),
        (dependence(which=lambda layers: layers[-1:]), "reset every layer"),
        (dependence(which=lambda layers: []), "reset every layer"),
        (dependence(average=lambda values: np.mean(np.abs(values))), "the sign of a correlation counts"),
        (dependence(safe=False), "a constant map has no correlation"),
        (dependence(seeding=lambda seed: None), "one seed gives two results"),
        (dependence(seeding=lambda seed: torch.manual_seed(0)), "two seeds give one result"),
    ],
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_is_done(exercises, name):
    assert exercises.verdict_on(name, exercises.solutions[name]) == "done"


def test_a_gap_may_record_its_history(exercises):
    def answer(f, image, baseline, n_steps):
        image.requires_grad_()
        result, gap = exercises.solutions["integrated"](f, image.detach(), baseline, n_steps)
        return result, gap + 0 * image.sum()

    assert exercises.verdict_on("integrated", answer) == "done"


@pytest.mark.parametrize("name", WRONG)
def test_the_stub_is_not_done_yet(exercises, name):
    """The stub as it is handed out, even if a reader has filled in the file."""
    assert exercises.verdict_on(name, exercises.stub(name)) == "not done yet"


@pytest.mark.parametrize("name, wrong, says", [(name, *pair) for name in WRONG for pair in WRONG[name]])
def test_a_slip_is_named(exercises, name, wrong, says):
    assert says in exercises.verdict_on(name, wrong)


def test_stubs_and_solutions_are_of_one_form(exercises):
    """The same names in the same order, the same parameters, the same docstrings, and slips for each."""
    assert exercises.forms("exercises.py") == exercises.forms("solutions.py")
    assert exercises.names == list(WRONG)
