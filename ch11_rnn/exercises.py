# %% [markdown]
# # 11 Exercises: states, gates, uneven lengths and sampling
#
# Nine exercises on recurrent networks, from three steps on paper to the choice of a forget gate's bias.
# Each function returns `...` as it stands. Put your code there, run the cell, then run the cell after it.
# It answers _done_, _not done yet_, or what your answer gets wrong. Nothing stops, so take them in any
# order. At a terminal, `python exercises.py` shows where you are.
#
# **You need** chapter 11. The answers, each with its reason, are in `solutions.py`.

# %%
import traceback

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

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
# ## 1 Three steps on paper
#
# About fifteen minutes, with pencil and paper. A network whose state is one number has no activation:
#
# $$h_t = w\, h_{t-1} + u\, x_t, \qquad h_0 = 0, \qquad L = h_3 .$$
#
# Unroll it into a graph. With $w = 3$, $u = 2$ and $x = (2, -1, 1)$, fill in the states and the gradients.
# The weights $w$ and $u$ are used in every step.


# %%
def three_steps():
    """States and gradients of L = h_3 at w = 3, u = 2, x = (2, -1, 1)."""
    return {
        "h_1": ...,
        "h_2": ...,
        "h_3": ...,
        "grad_h_2": ...,
        "grad_h_1": ...,
        "grad_u": ...,
        "grad_w": ...,
        "grad_x_1": ...,
    }


# %%
def last_state(w=3.0, u=2.0, x=(2.0, -1.0, 1.0), nudges=(0.0, 0.0, 0.0)):
    """h_3, if the states come out a little larger by `nudges`."""
    h = 0.0
    for value, nudge in zip(x, nudges):
        h = w * h + u * value + nudge
    return h


def slope(f, h=1e-4):
    """Slope of f at zero, by a central difference."""
    return (f(h) - f(-h)) / (2 * h)


@exercise
def check_three_steps(answer):
    got = answer()
    w, u, x = 3.0, 2.0, (2.0, -1.0, 1.0)
    states = [u * x[0]]
    states.append(w * states[0] + u * x[1])
    states.append(w * states[1] + u * x[2])
    compare(got["h_1"], states[0])
    compare(got["h_2"], states[1], [("h_2: the old state comes in through w", u * x[1])])
    compare(got["h_3"], states[2], [("h_3: the old state comes in through w", u * x[2])])
    compare(
        got["grad_h_2"],
        slope(lambda h: last_state(nudges=(0, h, 0))),
        [
            ("grad_h_2: one step lies between h_2 and h_3, so one factor w", 1),
            ("grad_h_2: that is two steps", w * w),
        ],
    )
    compare(
        got["grad_h_1"],
        slope(lambda h: last_state(nudges=(h, 0, 0))),
        [
            ("grad_h_1: two steps lie between, so two factors w", w),
            ("grad_h_1: the slopes along a chain multiply, they do not add", 2 * w),
        ],
    )
    slips = [
        ("grad_u: only the last step's use of u", x[2]),
        ("grad_u: each step's input counts by the slopes that lie after it", sum(x)),
        (
            "grad_u: the slopes are in the wrong order: the first input passes through most steps",
            x[0] + w * x[1] + w * w * x[2],
        ),
    ]
    compare(got["grad_u"], slope(lambda h: last_state(u=u + h)), slips)
    slips = [
        ("grad_w: only the last step's use of w, h_2", states[1]),
        (
            "grad_w: w is used with h_0, h_1 and h_2, each weighed by the slopes after it",
            states[0] + states[1],
        ),
        (
            "grad_w: the states before each step count, not those after it",
            w * w * states[0] + w * states[1] + states[2],
        ),
    ]
    compare(got["grad_w"], slope(lambda h: last_state(w=w + h)), slips)
    slips = [
        ("grad_x_1: two steps lie between h_1 and L", u),
        ("grad_x_1: x_1 comes in through u", w * w),
        ("grad_x_1: that is the gradient of u", slope(lambda h: last_state(u=u + h))),
    ]
    compare(got["grad_x_1"], slope(lambda h: last_state(x=(x[0] + h, *x[1:]))), slips)


# %% [markdown]
# ## 2 Backward through time
#
# About thirty minutes. Now with vectors, tanh, and any number of steps, for one sequence:
#
# $$h_t = \tanh(W_{ih} x_t + W_{hh} h_{t-1} + b), \qquad h_0 = 0 .$$
#
# Given the inputs, the states $h_1, \dots, h_T$ and the gradient that reaches each state from outside
# (from a loss at that step), return the gradients of the three parameters. Each state has a second way to
# the loss, through the next state.


# %%
def rnn_gradients(x, states, weight_hh, grad_states):
    """(dL/dW_ih (H, C), dL/dW_hh (H, H), dL/db (H,)) from x (T, C), states and outer gradients (T, H)."""
    return ..., ..., ...


# %%
def by_autograd(rnn, x, states, outer, slip=None):
    """The gradients of exercise 2 as autograd finds them, if one link of the graph is bent as `slip` says."""
    weight, state, total = rnn.weight_hh_l0, torch.zeros_like(states[0]), 0.0
    for t in range(len(x)):
        past = states[t - 1] if t else torch.zeros_like(states[0])
        seen = {"own": states[t], "wrapped": states[t - 1]}.get(slip, past)
        way = weight.detach().T if slip == "turned" else weight.detach()
        links = way @ (state - past) + (weight - weight.detach()) @ seen  # zero, but for their gradients
        z = (
            rnn.weight_ih_l0 @ x[t]
            + weight.detach() @ past
            + rnn.bias_ih_l0.detach()
            + rnn.bias_hh_l0
            + links
        )
        h = z - z.detach() + states[t] if slip == "straight" else z.tanh()
        state = h.detach() if slip == "cut" else h
        total = total + h @ outer[t]
    return [g.numpy() for g in torch.autograd.grad(total, (rnn.weight_ih_l0, weight, rnn.bias_hh_l0))]


@exercise
def check_rnn_gradients(answer):
    torch.manual_seed(112)
    rnn = nn.RNN(2, 3).double()
    x, outer = torch.randn(5, 2).double(), torch.randn(5, 3).double()
    states = rnn(x)[0].detach()
    numbers = [t.detach().numpy() for t in (x, states, rnn.weight_hh_l0, outer)]
    right = by_autograd(rnn, x, states, outer)
    known = {
        "cut": "nothing comes back from the next state: add it to the gradient from outside",
        "straight": "the slope of tanh, 1 - h², is missing",
        "turned": "W_hh is not transposed on the way back",
        "own": "the state of the step itself; W_hh was multiplied by the one before",
        "wrapped": "before the first step comes h_0 = 0, but states[-1] is the last state",
    }
    wrong = {slip: by_autograd(rnn, x, states, outer, slip) for slip in known}
    got = answer(*[array.copy() for array in numbers])
    for i, name in enumerate(("dL/dW_ih", "dL/dW_hh", "dL/db")):
        slips = [(f"{name}: {what}", wrong[slip][i]) for slip, what in known.items()]
        compare(got[i], right[i], [*slips, (f"{name}: it is transposed", right[i].T)])


# %% [markdown]
# ## 3 The missing `detach`
#
# About twenty minutes. A long sequence is read in chunks; the optimizer steps after each chunk, and the
# state goes on into the next one. A colleague's version stops in the second chunk with "Trying to backward
# through the graph a second time". Somebody advised `retain_graph=True`, somebody else a state of zeros for
# each chunk. Neither is right. Write it so that each chunk's gradient stays in its chunk, and so that it
# works for an `nn.RNN` and for an `nn.LSTM`, whose state is a pair.
#
# ```python
# state, losses = None, []
# for begin in range(0, len(x), chunk):
#     outputs, state = rnn(x[begin : begin + chunk], state)
#     loss = F.mse_loss(read_out(outputs), y[begin : begin + chunk])
#     optimizer.zero_grad()
#     loss.backward()
#     optimizer.step()
#     losses.append(loss.item())
# return losses
# ```


# %%
def train_in_chunks(rnn, read_out, x, y, chunk, optimizer):
    """The loss of each chunk of x (T, C), y (T, 1), with a step after each; rnn(x, state) as in `nn.RNN`."""
    return ...


# %%
@exercise
def check_train_in_chunks(answer):
    def train(how, given, chunk=3):
        torch.manual_seed(113)
        rnn, read_out = given(2, 4), nn.Linear(4, 1)
        parameters = [*rnn.parameters(), *read_out.parameters()]
        x, y = torch.randn(8, 2), torch.randn(8, 1)
        losses = how(rnn, read_out, x, y, chunk, torch.optim.SGD(parameters, lr=0.5))
        return losses, torch.cat([p.detach().flatten() for p in parameters])

    def chunks(keep=True):
        def run(rnn, read_out, x, y, chunk, optimizer):
            state, losses = None, []
            for begin in range(0, len(x), chunk):
                if state is not None:
                    state = None if not keep else apart(state)
                outputs, state = rnn(x[begin : begin + chunk], state)
                loss = F.mse_loss(read_out(outputs), y[begin : begin + chunk])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            return losses

        return run

    def apart(state):
        return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()

    for given in (nn.RNN, nn.LSTM):
        name = given.__name__
        right_losses, right_weights = train(chunks(), given)
        reset_losses, _ = train(chunks(keep=False), given)
        try:
            losses, weights = train(answer, given)
        except RuntimeError as error:
            assert "second time" not in str(error), (
                f"{name}: the state still holds the graph of the chunk before"
            )
            assert "inplace" not in str(error), (
                f"{name}: with retain_graph the gradient meets weights that have changed: cut the graph"
            )
            raise
        except AttributeError as error:
            assert "'tuple'" not in str(error), f"{name}: an LSTM's state is a pair, detach both of its parts"
            raise
        assert len(losses) == 3, (
            f"{name}: 8 steps in chunks of 3 are three chunks, you have {len(losses)} losses"
        )
        forgets = f"{name}: the state starts from zero in each chunk: what was read is forgotten"
        compare(np.round(losses, 5), np.round(right_losses, 5), [(forgets, np.round(reset_losses, 5))])
        assert torch.allclose(weights, right_weights, atol=1e-5), (
            f"{name}: the losses are right, the weights are not"
        )


# %% [markdown]
# ## 4 The end of a sentence
#
# About twenty minutes. Sentences of different lengths lie padded in `x` (B, T, C), the padding at the end.
# A bidirectional LSTM reads them. Return for each sentence the forward direction's hidden state $h$ after
# its _own_ last word, and beside it the backward direction's after it has read from the sentence's own
# last word to its first. What stands in the padding must not matter, and the batch is not sorted.


# %%
def end_states(lstm, x, lengths):
    """The hidden states (B, 2H) at each end, forward then backward; lstm: batch first, bidirectional."""
    return ...


# %%
@exercise
def check_end_states(answer):
    torch.manual_seed(114)
    lstm = nn.LSTM(2, 3, batch_first=True, bidirectional=True)
    lengths = torch.tensor([2, 4, 1, 3])
    x = torch.randn(4, 4, 2)
    with torch.no_grad():
        alone = []
        for sentence, length in zip(x, lengths):
            _, (h, _) = lstm(sentence[None, :length])  # h: (2, 1, H)
            alone.append(torch.cat([h[0, 0], h[1, 0]]))
        right = torch.stack(alone)
        outputs, (h, _) = lstm(x)
        rows = torch.arange(4)
        padded = torch.cat([h[0], h[1]], dim=1)
        picked = torch.cat([outputs[rows, lengths - 1, :3], outputs[:, 0, 3:]], dim=1)
        order = lengths.argsort(descending=True)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        memory = lstm(packed)[1][1]
        got = answer(lstm, x.clone(), lengths.clone())
    slips = [
        ("those are the states after the padding: it was read like words", padded),
        (
            "forward is right; backward began in the padding, before it came to the sentence: pack the batch",
            picked,
        ),
        ("the last entry of the outputs is the padding's", outputs[:, -1]),
        ("each sentence's last output: there backward has read one word only", outputs[rows, lengths - 1]),
        ("backward stands before forward", torch.cat([right[:, 3:], right[:, :3]], dim=1)),
        ("the sentences come in the order of their lengths: undo the sorting", right[order]),
        (
            "those are the memory cells c; the states h are asked for",
            torch.cat([memory[0], memory[1]], dim=1),
        ),
    ]
    compare(got, right, slips)


# %% [markdown]
# ## 5 The two GRUs
#
# About twenty minutes. There are two GRUs in use. In the paper's the reset gate multiplies the state before
# the matrix, in PyTorch's it multiplies the product. With $r$ and $z$ as in lesson 11.5,
#
# $$\begin{aligned}
#   \text{paper:} \quad n &= \tanh(W_n x + b_n + U_n (r \odot h) + d_n) \\
#   \text{PyTorch:} \quad n &= \tanh(W_n x + b_n + r \odot (U_n h + d_n)) \\
#   h' &= (1 - z) \odot n + z \odot h
# \end{aligned}$$
#
# Here $b$ is the bias beside the input and $d$ the one beside the state. The parameters are laid out as
# PyTorch lays them out: the blocks of $r$, $z$ and $n$ one under the other.


# %%
def gru_step(x, h, weight_ih, weight_hh, bias_ih, bias_hh, as_in_paper):
    """The next state (B, H) from x (B, C) and h (B, H); weights (3H, C) and (3H, H), biases (3H,)."""
    return ...


# %%
def by_cell(x, h, parameters, as_in_paper):
    """The step by `nn.GRUCell`; in the paper's form the candidate gets the state's part as a second input."""

    def run(x, *parameters):
        cell = nn.GRUCell(x.shape[1], h.shape[1], dtype=h.dtype)
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        cell.load_state_dict(dict(zip(names, parameters)))
        return cell(x, h).detach()

    if not as_in_paper:
        return run(x, *parameters)
    n = h.shape[1]
    passed = run(x, *(torch.cat([a[:n], a[:n], 0 * a[:n]]) for a in parameters))
    moved = [torch.cat([0 * a[: 2 * n], a[2 * n :]]) for a in parameters[1::2]]
    weight_ih, weight_hh, bias_ih, bias_hh = parameters
    wide = torch.cat([weight_ih, moved[0]], dim=1)
    x = torch.cat([x, passed], dim=1)
    return run(x, wide, weight_hh - moved[0], bias_ih + moved[1], bias_hh - moved[1])


@exercise
def check_gru_step(answer):
    torch.manual_seed(115)
    x, h = torch.randn(4, 2).double(), torch.randn(4, 3).double()
    weight_ih, weight_hh, bias_ih, bias_hh = p = [w.detach() for w in nn.GRUCell(2, 3).double().parameters()]
    block = torch.arange(3).repeat_interleave(3)
    turned = [torch.where((block == 1).view(-1, *[1] * (a.ndim - 1)), -a, a) for a in p]
    swapped = [torch.cat([a[3:6], a[:3], a[6:]]) for a in p]
    open_gate = [torch.cat([0 * a[:3], a[3:]]) for a in p]
    open_gate[2][:3] = 50.0
    for paper in (False, True):
        slips = {
            "that is the other form: look where r stands": by_cell(x, h, p, not paper),
            "z and 1 - z are exchanged; here z keeps the old state": by_cell(x, h, turned, paper),
            "the gates lie in the order r, z, n": by_cell(x, h, swapped, paper),
            "the biases beside the state are missing": by_cell(
                x, h, [weight_ih, weight_hh, bias_ih, 0 * bias_hh], paper
            ),
            "r is not used": by_cell(x, h, open_gate, paper),
        }
        which = "paper" if paper else "PyTorch"
        numbers = [a.numpy().copy() for a in (x, h, *p)]
        named = [(f"{which}: {what}", wrong) for what, wrong in slips.items()]
        compare(answer(*numbers, paper), by_cell(x, h, p, paper), named)


# %% [markdown]
# ## 6 A step that survives
#
# About fifteen minutes. Before an optimizer's step the gradients of a recurrent network are clipped (11.2):
# if the length of _all_ of them together, as one vector, is above `limit`, all are multiplied by the same
# factor so that it becomes `limit`. Return the new gradients, always in new arrays, and the length before,
# which is what one logs. If that length is not a finite number, no factor can help: return zeros, so that
# the step does nothing.


# %%
def clip_together(grads, limit):
    """({name: clipped gradient}, the length before) from {name: gradient}."""
    return ..., ...


# %%
@exercise
def check_clip_together(answer):
    grads = {"w": np.array([[1.0, 2.0], [2.0, 4.0]]), "b": np.array([7.2, 9.6])}
    given = {name: grad.copy() for name, grad in grads.items()}
    clipped, length = answer(given, 6.5)
    assert all(np.array_equal(given[name], grads[name]) for name in grads), "the arrays given were changed"
    slips = [
        ("the length: the root is missing", 169.0),
        ("the length: those are the lengths of single arrays added up; take all numbers as one vector", 17.0),
        ("the length: that is the largest number", 9.6),
        ("the length: that is the length after clipping, return the one before", 6.5),
    ]
    compare(length, 13.0, slips)
    assert set(clipped) == {"w", "b"}, "each gradient keeps its name"
    slips = [
        (
            "b: each array is clipped by itself, which changes the direction; use one factor for all",
            grads["b"] * 6.5 / 12,
        ),
        ("b: each number is clipped by itself, which changes the direction", [6.5, 6.5]),
        ("b: the factor is the wrong way round", grads["b"] * 2),
    ]
    compare(clipped["b"], [3.6, 4.8], slips)
    compare(
        clipped["w"],
        grads["w"] / 2,
        [("w: it was left as it is, although all together are too long", grads["w"])],
    )
    clipped, length = answer(grads, 20.0)
    slips = [("short gradients are left as they are, not stretched to the limit", grads["b"] * 20 / 13)]
    compare(clipped["b"], grads["b"], slips)
    assert not any(np.shares_memory(clipped[name], grads[name]) for name in grads), (
        "short gradients come back as the arrays that were given: return new ones"
    )
    compare(answer({"w": np.zeros(2)}, 1.0)[0]["w"], [0.0, 0.0])
    for bad in (np.inf, np.nan):
        with np.errstate(all="ignore"):
            clipped, length = answer({"w": np.array([1.0, bad]), "b": np.array([5.0])}, 1.0)
        assert not np.isfinite(length), (
            f"with {bad} in it the length is not finite, and that is what one logs"
        )
        values = np.concatenate([np.ravel(clipped["w"]), np.ravel(clipped["b"])])
        assert not np.isnan(values).any(), f"with {bad} in it the clipped gradients are NaN: return zeros"
        compare(values, np.zeros(3), [(f"with {bad} in it the gradients should be zeros", [1.0, bad, 5.0])])


# %% [markdown]
# ## 7 Sampling with a temperature and a cut
#
# About twenty minutes. A character is drawn with probabilities from softmax of the logits over the
# temperature, but only the `k` most probable characters may be drawn (if several have equal logits, those
# that come first). Return the probabilities; a temperature of zero means that the most probable character
# has all. Then draw one: `u` is a random number from 0 to 1 (1 excluded), and the answer is the first
# character up to which the probabilities add up to _more_ than `u`. Rounding can leave the sum of all
# slightly below one. If therefore no character is found, take the last one that has a probability.


# %%
def probabilities_of(logits, temperature, k):
    """The probabilities (V,) of drawing each character, from logits (V,); 1 ≤ k ≤ V."""
    return ...


def draw(probabilities, u):
    """The index that the random number u in [0, 1) picks."""
    return ...


# %%
@exercise
def check_probabilities_of(answer):
    logits = np.array([1.0, 3.0, 2.0, 3.0, -1.0])

    def softmax(z):
        return np.exp(z - z.max()) / np.exp(z - z.max()).sum()

    full = softmax(logits)
    slips = [
        ("those are logarithms: return probabilities", np.log(full)),
        ("they do not add up to one", np.exp(logits)),
    ]
    compare(answer(logits.copy(), 1.0, 5), full, slips)
    slips = [
        (
            "the logits are multiplied by the temperature; divide, so that a low one sharpens",
            softmax(logits * 0.5),
        ),
        ("the temperature is not used", full),
        ("the probabilities were divided by the temperature, divide the logits", full / 0.5),
    ]
    compare(answer(logits, 0.5, 5), softmax(logits / 0.5), slips)
    kept = np.array([0, 1, 1, 1, 0]) * full
    slips = [
        ("what is left does not add up to one: softmax after the cut, or divide by the sum", kept),
        ("nothing is cut off", full),
        ("the least probable are kept", np.array([1, 0, 1, 0, 1]) * full / full[[0, 2, 4]].sum()),
        ("k is the number that is kept, not the number that is cut off", np.array([0, 1, 0, 1, 0]) * 0.5),
    ]
    compare(answer(logits, 1.0, 3), kept / kept.sum(), slips)
    slips = [("equal logits: only the first k may stay", [0, 0.5, 0, 0.5, 0])]
    compare(answer(logits, 1.0, 1), [0, 1, 0, 0, 0], slips)
    with np.errstate(all="ignore"):
        got = answer(logits, 0.0, 5)
    assert not np.isnan(np.asarray(got, dtype=float)).any(), (
        "a temperature of zero gives NaN: the largest has all"
    )
    compare(
        got, [0, 1, 0, 0, 0], [("at zero only one has all, the first of the largest", [0, 0.5, 0, 0.5, 0])]
    )
    with np.errstate(all="ignore"):
        got = answer(np.array([3000.0, 2999.0]), 1.0, 2)
    assert not np.isnan(np.asarray(got, dtype=float)).any(), (
        "logits in the thousands give NaN: take the largest away"
    )
    compare(got, softmax(np.array([1.0, 0.0])))


@exercise
def check_draw(answer):
    p = np.array([0.25, 0.0, 0.5, 0.25])
    got = {u: int(answer(p, u)) for u in (0.0, 0.1, 0.25, 0.5, 0.75, 0.999)}
    assert got[0.25] != 1, "index 1 has no probability: look for a sum that is more than u, not equal to it"
    assert got[0.25] != 0, "at u = 0.25 the first character's share is used up: more than u, not at least"
    right = {0.0: 0, 0.1: 0, 0.25: 2, 0.5: 2, 0.75: 3, 0.999: 3}
    wrong = [f"u = {u} should pick {right[u]}, you pick {got[u]}" for u in right if got[u] != right[u]]
    assert not wrong, wrong[0]
    assert int(answer(np.array([0.0, 1.0, 0.0]), 0.0)) == 1, (
        "u = 0 must not pick a character without probability"
    )
    short = np.full(10, 0.1)  # adds up to a little less than one
    assert int(answer(short, np.nextafter(1.0, 0.0))) == 9, (
        "rounding leaves the sum below u: then it is the last character that has a probability"
    )


# %% [markdown]
# ## 8 A loss that does not see the padding
#
# About fifteen minutes. Return the mean cross-entropy of the real characters of a padded batch, which are
# the first `lengths[i]` of sentence i. Each of them counts the same, whatever sentence it is in. In the
# padding stand numbers that mean nothing: targets that are no class, logits that may even be NaN. Nothing
# of that may reach the loss or its gradient. A batch without a real character has a loss of zero.


# %%
def loss_of_batch(logits, targets, lengths):
    """Mean cross-entropy (nats), a tensor (), of logits (B, T, K), targets (B, T), lengths (B,)."""
    return ...


# %%
@exercise
def check_loss_of_batch(answer):
    torch.manual_seed(118)
    logits, targets = torch.randn(3, 4, 5).double(), torch.randint(5, (3, 4))
    lengths = torch.tensor([4, 1, 2])
    real = torch.arange(4) < lengths[:, None]
    each = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(3, 4)
    right = each[real].mean()
    slips = [
        ("the padding counts, too", each.mean()),
        ("padding is left out of the sum, but counted in the mean", (each * real).mean()),
        (
            "that is a mean of the sentences' means: characters of short sentences count more",
            torch.stack([row[m].mean() for row, m in zip(each, real)]).mean(),
        ),
        ("that is the sum, it should be the mean", each[real].sum()),
        ("divided by the number of sentences; every real character counts the same", each[real].sum() / 3),
    ]
    compare(answer(logits, targets, lengths), right, slips)
    nonsense = targets.masked_fill(~real, -7)
    try:
        got = answer(logits, nonsense, lengths)
    except (IndexError, RuntimeError) as error:
        raise AssertionError(
            f"targets of the padding are no classes: leave them out first ({error})"
        ) from None
    compare(got, right, [("a target in the padding counts", each.mean())])
    leaf = logits.masked_fill(~real[..., None], float("nan")).requires_grad_()
    loss = answer(leaf, nonsense, lengths)
    assert not torch.isnan(loss), (
        "NaN in the padding reaches the loss: 0 times NaN is NaN, so select instead of multiply"
    )
    loss.backward()
    assert not torch.isnan(leaf.grad).any(), "the loss is right, but NaN in the padding reaches the gradient"
    assert (leaf.grad[~real] == 0).all(), "the padding has a gradient"
    nothing = answer(logits, nonsense, torch.zeros(3, dtype=torch.long))
    assert not torch.isnan(torch.as_tensor(nothing)), (
        "without a real character the loss is NaN: it should be 0"
    )
    compare(nothing, 0.0)


# %% [markdown]
# ## 9 Which lag can it learn?
#
# About fifteen minutes. At the start an LSTM's forget gate is about $f = \sigma(b)$ whatever it reads, and a
# gradient that goes back $k$ steps through the memory is multiplied by $f^k$. Return the longest lag at
# which more than `least` of it is left, for a given bias; then the smallest bias with which at least `least`
# is left after a given lag, which may be very long. Predict first: a bias of one leaves more than a
# hundredth for how many steps?


# %%
def longest_lag(bias, least=0.01):
    """The largest whole k with sigmoid(bias) ** k > least."""
    return ...


def bias_for_lag(lag, least=0.01):
    """The bias (a number) at which sigmoid(bias) ** lag is equal to least."""
    return ...


# %%
@exercise
def check_longest_lag(answer):
    for bias in (1.0, 3.0, 6.0, 0.0, -1.0):
        f = 1 / (1 + np.exp(-bias))
        right = next(k for k in range(10**5) if f ** (k + 1) <= 0.01)
        slips = [
            ("rounded up: at that lag less than the hundredth is left", right + 1),
            (
                "the bias itself is no gate: sigmoid makes it one",
                int(np.log(0.01) / np.log(bias)) if 0 < bias < 1 else -1,
            ),
            (
                "that is tanh(bias) in place of sigmoid(bias)",
                int(np.log(0.01) / np.log(np.tanh(bias))) if bias > 0 else -1,
            ),
        ]
        compare(answer(bias), right, [(f"bias {bias:g}: {what}", wrong) for what, wrong in slips])
    compare(answer(0.0, 0.25), 1, [("at k = 2 exactly a quarter is left, and it should be more", 2)])
    compare(answer(0.0, 0.6), 0)


@exercise
def check_bias_for_lag(answer):
    for lag in (1, 10, 100, 1000):
        f = 0.01 ** (1 / lag)
        right = np.log(f / (1 - f))
        slips = [
            ("that is the gate; the bias is what sigmoid makes it from", f),
            ("the sign", -right),
            ("that is log(lag), the rule of thumb, which leaves about 1/e", np.log(lag)),
        ]
        compare(answer(lag), right, [(f"lag {lag}: {what}", wrong) for what, wrong in slips])
    compare(answer(1000, 0.5), -np.log(np.expm1(np.log(2) / 1000)), [("least is fixed at 0.01", right)])
    with np.errstate(divide="ignore"):
        try:
            got = answer(10**17, 0.5)
        except (ZeroDivisionError, ValueError):
            got = np.inf
    assert np.isfinite(got), "for a very long lag 1 - f is rounded to zero: use expm1"
    compare(got, -np.log(np.expm1(np.log(2) / 10**17)))


# %% [markdown]
# ## Where you are

# %%
print(summary())
