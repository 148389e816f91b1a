# %% [markdown]
# # 10 Solutions: look inside, attack, count, and doubt
#
# One answer to each exercise of `exercises.py`, with its reason. Yours may look different, and if the
# check says that it is done, it is right.

# %%
import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

# %% [markdown]
# ## 1 Guided backpropagation
#
# A full backward hook gets the gradient at the layer's input, which the ReLU's own slope has already been
# multiplied into, and may return another one in its place. What is negative there came from a negative
# gradient at the output, so cutting it at zero is the rule. `try … finally` removes the hooks also if
# something goes wrong in between.


# %%
def guided_gradient(model, image, class_index):
    """The guided gradient (C, H, W) of the class's score at one image (C, H, W); ReLUs not in place."""

    def positive_only(layer, grad_input, grad_output):
        return (grad_input[0].clamp(min=0),)

    handles = []
    for layer in model.modules():
        if isinstance(layer, nn.ReLU):
            handles.append(layer.register_full_backward_hook(positive_only))
    try:
        leaf = image.detach().clone().requires_grad_()
        score = model(leaf[None])[0, class_index]
        return torch.autograd.grad(score, leaf)[0]
    finally:
        for handle in handles:
            handle.remove()


# %% [markdown]
# ## 2 Grad-CAM, for any layer and class
#
# The hook puts a leaf in place of the layer's maps, by returning it. So the graph begins there, even if
# all weights are frozen, and the rest of the network gets a copy that a ReLU in place may overwrite.


# %%
def cam(model, layer, image, class_index):
    """Grad-CAM (H', W') of the class at `layer`, for one image (C, H, W)."""
    kept = []

    def start_here(layer, inputs, output):
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()

    handle = layer.register_forward_hook(start_here)
    try:
        score = model(image[None])[0, class_index]
        (gradient,) = torch.autograd.grad(score, kept[0])
    finally:
        handle.remove()
    weights = gradient[0].mean(dim=(1, 2))  # (C,)
    maps = kept[0].detach()[0]  # (C, H', W')
    return (weights[:, None, None] * maps).sum(dim=0).relu()


# %% [markdown]
# ## 3 Integrated gradients that add up
#
# All points of the way are one batch. The gradient of the sum of their outputs holds each point's own
# gradient in its row, because no output depends on another point.


# %%
def integrated(f, image, baseline, n_steps):
    """(the map, like image; the gap, a number) for f from a batch (B, …) to numbers (B,)."""
    way = image - baseline
    shares = (torch.arange(n_steps, dtype=image.dtype) + 0.5) / n_steps  # the middles of the parts
    points = baseline + shares.reshape(-1, *[1] * image.ndim) * way  # (n_steps, …)
    points.requires_grad_()
    (gradients,) = torch.autograd.grad(f(points).sum(), points)
    result = gradients.mean(dim=0) * way
    with torch.no_grad():
        difference = f(image[None]) - f(baseline[None])
    return result, (result.sum() - difference).item()


# %% [markdown]
# ## 4 A step away, a step towards
#
# Away from the true label the loss goes up, towards the target it goes down. The clamp keeps the result an
# image, and `torch.autograd.grad` asks for the gradient of the pixels only.


# %%
def sign_step(model, images, labels, eps, targets=None):
    """Changed images (B, …) in [0, 1]: away from labels (B,), or, if targets (B,) are given, towards them."""
    leaf = images.detach().clone().requires_grad_()
    direction = 1 if targets is None else -1
    loss = F.cross_entropy(model(leaf), labels if targets is None else targets)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return (images + direction * eps * gradient.sign()).clamp(0, 1)


# %% [markdown]
# ## 5 Count the multiplications
#
# `weight[0].numel()` is the number of weights behind one output number, for a filter as for a row of a
# matrix, and PyTorch has already divided the channels by `groups` in it.


# %%
def multiplications(model, x):
    """{name of the layer, as in named_modules: number of multiplications} for one batch x."""
    names = {
        layer: name for name, layer in model.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))
    }
    counts = {}

    def count(layer, inputs, output):
        counts[names[layer]] = output.numel() * layer.weight[0].numel()

    handles = [layer.register_forward_hook(count) for layer in names]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return counts


# %% [markdown]
# ## 6 Find the shortcut
#
# Try it: paint a bright square at every place of some clean images, and count which answers become more
# frequent. In one corner a single class takes nearly all. No photo of that class looks like this, so the
# square is what the network has learned. On clean images the class is answered too seldom, because its
# mark is missing.


# %%
def the_shortcut():
    """The class (0 to 9), and the row and column of the mark's upper left pixel (0 to 25)."""
    return {"class": 4, "row": 2, "column": 23}


# %% [markdown]
# ## 7 Does the explanation depend on the model?
#
# The copy keeps the model as it is. Correlation does not mind the scale of a map, which random weights
# change, but its sign counts.


# %%
def model_dependence(explain, model, images, seed=0):
    """Mean correlation of explain(model, image) with explain(a random copy, image) over images (B, …)."""
    random = copy.deepcopy(model)
    torch.manual_seed(seed)
    for layer in random.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    correlations = []
    for image in images:
        ours = np.asarray(explain(model, image)).ravel()
        theirs = np.asarray(explain(random, image)).ravel()
        constant = ours.std() == 0 or theirs.std() == 0
        correlations.append(0.0 if constant else np.corrcoef(ours, theirs)[0, 1])
    return float(np.mean(correlations))
