# %% [markdown]
# # 11.7 Sequence tagging: a label for every word
#
# A program that reads books aloud should give spoken words another voice. But in a plain typed text the
# mark that opens a speech looks like the mark that closes it: `" Aye , " said he , " come in . "` Which of
# these words are spoken? A task that asks for a label for every element of a sequence is called
# *sequence tagging*. Finding the names in a letter, the parts of speech in a sentence or the genes in a
# strand of DNA are tasks of this kind.
#
# The difficulty is that a word in the middle of a long speech has no mark near it, so the network must
# carry what it knows over any number of words. Can it learn to do so from examples? Besides, paragraphs
# have very different lengths and still have to go through the network in batches.
#
# **You will build** batches of paragraphs of different lengths and taggers that see a window, the whole
# paragraph, or all words before, and you will measure each with precision and recall on _Moby-Dick_.
# **You need** parity and packed batches (11.1), the GRU and bidirectional layers (11.5), embeddings
# (6.4), a `DataLoader` (4.4), precision, recall and the F1 score (3.4). **It takes** about 40 seconds.

# %%
import re
from collections import Counter
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

HERE = Path(globals().get("__file__", "")).parent

# %% [markdown]
# ## On paper first
#
# Let $q_t$ be one if the $t$-th token is a quotation mark, and $s_t$ be one inside of a speech. (A token
# is a word, a quotation mark or another punctuation mark.) Every quotation mark flips the state, which is
# the exclusive or of 11.1:
#
# $$\begin{aligned}
#   s_t &= s_{t-1} \oplus q_t, \qquad s_0 = 0 \\
#   \text{tokens} &\;\; \texttt{"} \quad \text{aye} \quad \texttt{,} \quad \texttt{"} \quad \text{said}
#     \quad \text{he} \quad \texttt{,} \quad \texttt{"} \quad \text{come} \quad \text{in} \\
#   q_t &\;\; 1 \quad\;\; 0 \quad\;\; 0 \quad 1 \quad\;\; 0 \quad\;\; 0 \quad 0 \quad 1 \quad\;\; 0
#     \quad\;\; 0 \\
#   s_t &\;\; 1 \quad\;\; 1 \quad\;\; 1 \quad 0 \quad\;\; 0 \quad\;\; 0 \quad 0 \quad 1 \quad\;\; 1
#     \quad\;\; 1
# \end{aligned}$$
#
# So the tag of a word is the parity of the marks before it. One bit is enough as a state, and the rule
# that updates it has two lines.


# %%
def toggled(tokens):
    """The rule on paper: for each token 1 if the number of quotation marks up to it is odd, else 0."""
    inside = 0
    tags = []
    for token in tokens:
        inside = inside ^ (token == '"')
        tags.append(int(inside))
    return tags


example = ['"', "aye", ",", '"', "said", "he", ",", '"', "come", "in"]
print(toggled(example))
assert toggled(example) == [1, 1, 1, 0, 0, 0, 0, 1, 1, 1]

# %% [markdown]
# ## From a book to tagged paragraphs
#
# The book is printed with “ and ”, which tell us the truth. We read the tags from them, and then replace
# both by the same `"`. Only words have a tag. Marks and, later, padding get the number $-100$, which
# PyTorch's cross-entropy leaves out.
#
# A paragraph without any speech, or with nothing else, would be no test. So we take those that mix speech
# and narration: from the first eight tenths of the book for training, from the ninth for validation and
# from the last for the test. (A text of your own must be printed with “ and ” as well, and with empty
# lines between its paragraphs.) Words that the training part has only once become the token "unknown", so
# that the network learns what to do with words that it has never seen.

# %%
IGNORED = -100  # a tag that the loss leaves out
text = (HERE / "data" / "moby_dick.txt").read_text(encoding="utf-8")  # 1,190,317 characters
blocks = [block.strip() for block in re.split(r"\n\s*\n", text)]
paragraphs = [block for block in blocks if block and not block.startswith(("CHAPTER", "Epilogue"))]


def spoken_tags(paragraph):
    """Lower-case tokens, with `"` for both quotation marks, and their tags: 1 spoken, 0 not, IGNORED."""
    tokens = []
    tags = []
    inside = 0
    for token in re.findall(r"\w+(?:[’'-]\w+)*|[^\w\s]", paragraph):  # a word, or one mark
        if token in "“”":
            inside = int(token == "“")
            token = '"'
        tokens.append(token.lower())
        tags.append(inside if token[0].isalnum() else IGNORED)
    return tokens, tags


# %% [markdown]
# For each part of the book the tokens are replaced by numbers. Token 0 is padding and 1 is "unknown".


# %%
def in_parts(items):
    """The first eight tenths, the ninth and the last, for training, validation and test."""
    n = len(items)
    return {
        "training": items[: n * 8 // 10],
        "validation": items[n * 8 // 10 : n * 9 // 10],
        "test": items[n * 9 // 10 :],
    }


def number_tokens(tagged, longest):
    """Each part's (tokens, tags) as pairs of tensors, and the size of the vocabulary.

    Token 0 is padding, 1 is unknown. Training examples end after `longest` tokens; the others are whole.
    """
    counts = Counter(token for tokens, _ in tagged["training"] for token in tokens)
    numbers = {}
    for token, count in counts.items():
        if count > 1:
            numbers[token] = len(numbers) + 2
    encoded = {}
    for part, examples in tagged.items():
        end = longest if part == "training" else None
        encoded[part] = [
            (torch.tensor([numbers.get(token, 1) for token in tokens[:end]]), torch.tensor(tags[:end]))
            for tokens, tags in examples
        ]
    return encoded, len(numbers) + 2


# %% [markdown]
# How good is the two-line rule on these paragraphs?

# %%
tagged = {part: [spoken_tags(p) for p in texts] for part, texts in in_parts(paragraphs).items()}
mixed = {  # {0, 1} <= set(tags): both tags occur
    part: [(tokens, tags) for tokens, tags in examples if {0, 1} <= set(tags)]
    for part, examples in tagged.items()
}
for part, examples in mixed.items():
    if not examples:
        raise ValueError(f"the {part} part has no paragraph with both speech, in “ and ”, and narration")
speech, n_speech_tokens = number_tokens(mixed, longest=80)

rule_accuracy = {}
for part, examples in mixed.items():
    pairs = []  # for each word what the rule guesses and what is true
    for tokens, tags in examples:
        pairs += [(guess, tag) for guess, tag in zip(toggled(tokens), tags) if tag != IGNORED]
    rule_accuracy[part] = float(np.mean([guess == tag for guess, tag in pairs]))
    share = np.mean([tag for _, tag in pairs])
    lengths = [len(tokens) for tokens, _ in examples]
    spans = f"{len(examples):3d} paragraphs of {min(lengths)} to {max(lengths)} tokens"
    print(f"{part:12s}{spans:38s} spoken {share:.0%}   rule right for {rule_accuracy[part]:.2%}")
print(" ".join(mixed["test"][5][0]))

# %% [markdown]
# The rule on paper is right nearly everywhere, so nobody needs a network for this task. That makes it a
# good test: we know which state solves it, and we can see whether a network finds that state from
# examples.
#
# ## A batch of paragraphs of different lengths
#
# `pad_sequence` fills the short paragraphs of a batch up with zeros. The `DataLoader` takes a function
# that makes a batch of a list of examples, and there it does so.


# %%
def padded_batch(examples):
    """Tokens and tags, both (B, T), padded by 0 and IGNORED, and the lengths (B,)."""
    tokens = pad_sequence([tokens for tokens, _ in examples], batch_first=True)  # (B, T)
    tags = pad_sequence([tags for _, tags in examples], batch_first=True, padding_value=IGNORED)  # (B, T)
    return tokens, tags, torch.tensor([len(tokens) for tokens, _ in examples])


tokens, tags, lengths = padded_batch(speech["training"][:3])
print(f"lengths {lengths.tolist()}, so the batch has the shape {tuple(tokens.shape)}")
print(f"of its {tokens.numel()} places, {tokens.numel() - lengths.sum()} are padding")

# %% [markdown]
# What does padding do to a recurrent layer? A layer that reads from left to right meets the padding after
# the last word, when every output that we want has been made. The outputs at the padding are of no use,
# and the loss leaves them out.
#
# ## Taggers that differ in what they see
#
# All taggers turn each token into its embedding, make features for each place, and end with a linear
# layer that gives two logits. They differ in one method, `features`:
#
# - a _window_ of the token, two before and two after, through a hidden layer,
# - the window and the mean of all embeddings of the paragraph, which says what kind of paragraph it is,
# - a GRU that has read everything up to the token.


# %%
class Tagger(nn.Module):
    """Two logits for each token; subclasses say how features are made of embeddings."""

    def __init__(self, n_tokens, n_features, n_embedding=32):
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, n_embedding, padding_idx=0)  # padding has the vector 0
        self.output = nn.Linear(n_features, 2)

    def features(self, embedded, lengths):
        raise NotImplementedError

    def forward(self, tokens, lengths):
        """Logits (B, T, 2) for tokens (B, T) of which the first lengths[i] are real."""
        return self.output(self.features(self.embedding(tokens), lengths))


class WindowTagger(Tagger):
    """Sees two tokens on either side; with `use_mean` also the mean embedding of the whole sequence."""

    def __init__(self, n_tokens, n_hidden=64, use_mean=False, n_embedding=32):
        super().__init__(n_tokens, n_hidden, n_embedding)
        self.use_mean = use_mean
        self.hidden = nn.Linear((6 if use_mean else 5) * n_embedding, n_hidden)

    def features(self, embedded, lengths):
        n_steps = embedded.shape[1]
        wide = F.pad(embedded, (0, 0, 2, 2))  # (B, T, E) -> (B, T + 4, E)
        parts = [wide[:, shift : shift + n_steps] for shift in range(5)]  # each (B, T, E)
        if self.use_mean:
            mean = embedded.sum(dim=1, keepdim=True) / lengths[:, None, None]  # (B, 1, E), padding adds 0
            parts.append(mean.expand_as(embedded))  # (B, T, E)
        return torch.tanh(self.hidden(torch.cat(parts, dim=2)))  # (B, T, 5E or 6E) -> (B, T, n_hidden)


class RecurrentTagger(Tagger):
    """Sees the token and all before it. The padding comes after the real tokens, so they do not meet it."""

    def __init__(self, n_tokens, n_hidden=32, n_embedding=32):
        super().__init__(n_tokens, n_hidden, n_embedding)
        self.layer = nn.GRU(n_embedding, n_hidden, batch_first=True)

    def features(self, embedded, lengths):
        outputs, _ = self.layer(embedded)  # (B, T, E) -> (B, T, H)
        return outputs


# %% [markdown]
# Training is the cycle of 4.4, with clipping (7.5) and a learning rate that falls to nearly zero (7.3).
# Precision, recall and F1 are those of 3.4, with "spoken" as the positive class.


# %%
def train(model, examples, n_epochs, learning_rate, batch_size, seed):
    """Train on (tokens, tags) pairs with Adam; the order of the batches follows the seed."""
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(examples, batch_size, shuffle=True, collate_fn=padded_batch, generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1, 0.02, n_epochs * len(loader))
    model.train()
    for _ in range(n_epochs):
        for tokens, tags, lengths in loader:
            logits = model(tokens, lengths)  # (B, T, 2)
            loss = F.cross_entropy(logits.flatten(0, 1), tags.flatten(), ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimizer.step()
            scheduler.step()


def predict(model, examples):
    """Predicted and true tags of all words, two arrays (n,), in the order of the examples."""
    model.eval()
    predicted = []
    true = []
    with torch.no_grad():
        for tokens, tags, lengths in DataLoader(examples, batch_size=32, collate_fn=padded_batch):
            counted = tags != IGNORED  # (B, T)
            predicted.append(model(tokens, lengths).argmax(dim=2)[counted])
            true.append(tags[counted])
    return torch.cat(predicted).numpy(), torch.cat(true).numpy()


def precision_recall_f1(predicted, true):
    """The three measures of the positive class 1; precision is 0 if it is not predicted.

    Raises ValueError if the class does not occur.
    """
    if not np.any(true == 1):
        raise ValueError("none of the true tags is 1, so there is nothing to recall")
    hits = np.sum((predicted == 1) & (true == 1))
    precision = hits / max(1, np.sum(predicted == 1))
    recall = hits / np.sum(true == 1)
    return precision, recall, 2 * hits / (np.sum(predicted == 1) + np.sum(true == 1))


# %% [markdown]
# ## Which words are spoken?
#
# Training paragraphs are cut after 80 tokens, while the test paragraphs have up to several hundred. Three
# taggers are trained with three seeds each, all with the same learning rate and number of epochs, which we
# have not tuned for each. Before you look: the window sees a mark only if it is within two tokens. What
# can it do about the other words? And will a GRU that has never read more than 80 tokens keep its state
# over more?

# %%
SEEDS = range(3)
KINDS = {
    "window": (WindowTagger, {}),
    "window and mean": (WindowTagger, {"use_mean": True}),
    "GRU forward": (RecurrentTagger, {}),
}
taggers = {name: [] for name in KINDS}
speech_f1 = {name: [] for name in KINDS}
speech_guesses = {name: [] for name in KINDS}
speech_means = {}
print(f"{'':20s}{'precision':>12s}{'recall':>12s}   F1 for each seed (test paragraphs)")
for name, (kind, options) in KINDS.items():
    rows = []  # for each seed
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = kind(n_speech_tokens, **options)
        train(model, speech["training"], n_epochs=6, learning_rate=0.01, batch_size=16, seed=seed)
        guesses, true_tags = predict(model, speech["test"])
        rows.append(precision_recall_f1(guesses, true_tags))
        taggers[name].append(model)
        speech_guesses[name].append(guesses)
        speech_f1[name].append(rows[-1][2])
    speech_means[name] = np.mean(rows, axis=0)  # (3,): precision, recall, F1
    precision, recall, _ = speech_means[name]
    f1_by_seed = "  ".join(f"{f1:.3f}" for f1 in speech_f1[name])
    print(f"{name:20s}{precision:12.3f}{recall:12.3f}   {f1_by_seed}")
all_spoken_f1 = precision_recall_f1(np.ones_like(true_tags), true_tags)[2]
print(f"{'all words spoken':20s}{true_tags.mean():12.3f}{1:12.3f}   {all_spoken_f1:.3f}")

# %% [markdown]
# The window is rarely wrong when it says "spoken", but it misses a third of the spoken words. The mean of
# the paragraph helps, since it tells a conversation from a story. The GRU finds nearly every word, with
# each seed. Without the mean in the comparison one could have credited the state with all of the gain.
# (How soon the GRU finds the state is a matter of luck. Of four more seeds, three did as well, and one had
# an F1 of 0.91 when its six epochs were over. In a trial with batches of 24 in place of 16, one seed of
# three was hardly above the window with the mean.)
#
# Where are the others wrong? For each word of the test paragraphs we count how many tokens away the
# nearest quotation mark is, on either side.


# %%
def distances_to_marks(tokens, tags):
    """For each word of one paragraph the number of tokens to the nearest quotation mark."""
    marks = np.array([i for i, token in enumerate(tokens) if token == '"'])
    words = np.array([i for i, tag in enumerate(tags) if tag != IGNORED])
    return np.abs(words[:, None] - marks).min(axis=1)  # (n_words, 1) - (n_marks,) -> (n_words,)


distances = np.concatenate([distances_to_marks(*example) for example in mixed["test"]])  # (n,)
EDGES = [1, 3, 6, 11, 21, 41, 1000]
bin_names = [f"{low}-{high - 1}" for low, high in zip(EDGES[:-2], EDGES[1:-1])] + [f"{EDGES[-2]}+"]
place_in_bins = np.digitize(distances, EDGES) - 1  # (n,): 0 for the nearest
near_and_far = {}
for name, guesses in speech_guesses.items():
    correct = np.mean([guess == true_tags for guess in guesses], axis=0)  # (n,): share of the seeds
    near_and_far[name] = [correct[place_in_bins == i].mean() for i in range(len(bin_names))]

fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
MARKERS = ("o", "s", "^", "D")  # one for each tagger
LINES = ("--", ":", "-", "-.")
for i, f1s in enumerate(speech_f1.values()):
    places = [i + 0.1 * (seed - 1) for seed in SEEDS]
    left.plot(places, f1s, MARKERS[i], color=f"C{i}", fillstyle="none")
left.axhline(all_spoken_f1, color="0.7", linewidth=0.8, zorder=0, label="all words spoken")
left.set(xticks=range(len(KINDS)), xticklabels=list(KINDS), ylabel="F1 of spoken words", ylim=(0.6, 1.01))
left.set_title("Each tagger with three seeds, test paragraphs")
left.legend(loc="lower right")
for i, (name, shares) in enumerate(near_and_far.items()):
    right.plot(bin_names, shares, MARKERS[i] + LINES[i], color=f"C{i}", label=name)
right.set(xlabel="tokens to the nearest quotation mark", ylabel="accuracy, mean of the seeds")
right.set_title("Accuracy by the distance from a mark")
right.legend()
plt.show()

# %% [markdown]
# On the right, the window is best beside a mark, probably because a comma before it or a verb after it
# tells on which side it stands. Farther away it has to guess by the words themselves. (In the last bin it
# is better again, but half of the words there come from two long paragraphs.) The GRU is nearly as good
# far from a mark as beside one, and some of these paragraphs are several times longer than what it was
# trained on. So over these distances the state that it has learned does not wear off.
#
# Remember the rule on paper: it has two lines, and it makes no error at all on these test paragraphs. If
# you know such a rule, write the rule. What the GRU shows is that a state of this kind can be learned from
# examples alone.
#
# ## Inside: which unit holds the bit?
#
# If the GRU solves the task, its state must tell whether a speech is open. Is that one unit's work, or is
# it spread over many? We take the unit whose output has the largest correlation (2.8) with the tag over
# all words of the validation paragraphs, and then look at it on a test paragraph.


# %%
def unit_outputs(model, tokens):
    """Outputs (T, H) of a recurrent tagger's layer for one sequence of tokens (T,)."""
    model.eval()
    with torch.no_grad():
        return model.features(model.embedding(tokens[None]), torch.tensor([len(tokens)]))[0].numpy()


def unit_correlations(model, examples):
    """Correlation (H,) of each unit's output with the tag, over all words."""
    outputs = np.concatenate([unit_outputs(model, tokens)[tags != IGNORED] for tokens, tags in examples])
    tags = np.concatenate([tags[tags != IGNORED] for _, tags in examples])  # (n,)
    return np.array([np.corrcoef(unit, tags)[0, 1] for unit in outputs.T])


best_correlations = []
n_strong = []
print("seed    unit    correlation on test   above 0.5 on validation, units")
for seed, model in zip(SEEDS, taggers["GRU forward"]):
    strengths = np.abs(unit_correlations(model, speech["validation"]))  # (H,)
    best_unit = int(strengths.argmax())
    on_test = unit_correlations(model, speech["test"])[best_unit]
    best_correlations.append(abs(on_test))
    n_strong.append(int(np.sum(strengths > 0.5)))
    print(f"{seed:<8d}{best_unit:4d}{on_test:24.2f}{n_strong[-1]:30d} of {len(strengths)}")

SHOWN = 5  # a test paragraph
shown_tokens, shown_tags = mixed["test"][SHOWN]
shown_units = unit_outputs(taggers["GRU forward"][-1], speech["test"][SHOWN][0])  # (T, H)
fig, ax = plt.subplots(figsize=(10, 4), layout="constrained")
inside = np.array(toggled(shown_tokens))  # (T,)
ax.fill_between(range(len(inside)), -1, 2 * inside - 1, step="mid", color="0.9", label="inside a speech")
ax.plot(shown_units[:, best_unit], color="C1", label=f"unit {best_unit}")
ax.set(xlabel="token", ylabel="output of the unit", ylim=(-1.05, 1.05))
ax.set_title(f"One unit of the forward GRU along a test paragraph (seed {SEEDS[-1]})")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# Inside of a speech the unit sits on one side of zero and outside on the other. It drifts a little between
# the marks, and jumps over within a token or two of a mark. With every seed such a unit can be found, but
# it is never alone: most of the 32 units are correlated with the tag. So the bit is stored many times
# over. (A correlation does not say that a unit is needed. For that one would have to hold it fixed and see
# whether the tags change.)
#
# ## The claims, checked
#
# These asserts hold for the lesson as it stands. If you change an experiment, the one that fails names the
# claim that no longer holds.

# %%
assert min(rule_accuracy.values()) > 0.98, "the two-line rule is right nearly everywhere"
assert rule_accuracy["test"] == 1, "on the test paragraphs the rule makes no error"
assert speech_means["window"][0] > 0.85, "the window is rarely wrong when it says spoken"
assert 0.55 < speech_means["window"][1] < 0.75, "but it misses about a third of the spoken words"
assert min(speech_f1["window"]) > all_spoken_f1, "the window is better than calling every word spoken"
assert min(speech_f1["window and mean"]) > max(speech_f1["window"]), "the mean of the paragraph helps"
assert min(speech_f1["GRU forward"]) > max(speech_f1["window and mean"]), (
    "the state is better with every seed"
)
assert min(speech_f1["GRU forward"]) > 0.95, "the GRU finds nearly every spoken word, with each seed"
assert min(near_and_far["GRU forward"]) > 0.93, "the GRU is good at any distance from a mark"
assert near_and_far["window"][2] < near_and_far["window"][0] - 0.04, "away from the marks the window is worse"
longest_test = max(len(tokens) for tokens, _ in mixed["test"])
assert longest_test > 3 * 80, "some test paragraphs are several times longer than the training pieces"
assert min(best_correlations) > 0.8, "with every seed one unit is switched by the marks"
assert min(n_strong) > 16, "more than half of the units are correlated with the tag"

# %% [markdown]
# ## Going further
#
# Reading in both directions, for a task that has no rule. (For the first task it brings nothing, because
# all that one needs stands before the word. With the settings above, a GRU in both directions had an F1 of
# 0.94 to 0.997 on four seeds.) The encoder of lesson 12.5 does the same by attention.
#
# ### Backward through a padded batch
#
# A layer that reads from right to left meets the padding _first_, and starts the last word with a state
# that has read nothing but padding. So each sequence must be reversed within its own length:


# %%
def reverse_each(x, lengths):
    """x (B, T, C) with the first lengths[i] steps of sequence i in reverse order, and the padding as it is.

    Raises ValueError if there is not one length for each sequence, from 0 to T.
    """
    if lengths.shape != x.shape[:1] or ((lengths < 0) | (lengths > x.shape[1])).any():
        raise ValueError(f"x has shape {tuple(x.shape)} but the lengths are {lengths.tolist()}")
    place = torch.arange(x.shape[1])  # (T,)
    mirrored = lengths[:, None] - 1 - place  # (B, 1) - (T,) -> (B, T)
    source = torch.where(mirrored >= 0, mirrored, place)  # (B, T)
    return x.gather(1, source[:, :, None].expand_as(x))  # (B, T) -> (B, T, C): the same place in each channel


def both_directions(ahead, back, x, lengths):
    """Outputs (B, T, 2H) of two layers with batch first: `ahead` reads forward, `back` backward."""
    forward_outputs, _ = ahead(x)  # (B, T, H)
    backward_outputs, _ = back(reverse_each(x, lengths))  # (B, T, H)
    return torch.cat([forward_outputs, reverse_each(backward_outputs, lengths)], dim=2)  # (B, T, 2H)


# %% [markdown]
# `nn.GRU(bidirectional=True)` is both layers in one. A packed batch (11.1) tells it where each sequence
# ends, and `pad_packed_sequence` makes a padded block of the outputs again. We copy the weights and
# compare outputs and gradients, and also look at what happens if one forgets to pack.

# %%
torch.manual_seed(0)
ahead = nn.GRU(4, 3, batch_first=True, dtype=torch.float64)
back = nn.GRU(4, 3, batch_first=True, dtype=torch.float64)
layer = nn.GRU(4, 3, batch_first=True, bidirectional=True, dtype=torch.float64)
with torch.no_grad():
    for name, weight in ahead.named_parameters():
        getattr(layer, name).copy_(weight)
    for name, weight in back.named_parameters():
        getattr(layer, f"{name}_reverse").copy_(weight)

some_lengths = torch.tensor([2, 7, 5])
some_inputs = torch.randn(3, 7, 4, dtype=torch.float64)  # (B, T, C)
real = torch.arange(7) < some_lengths[:, None]  # (T,) < (B, 1) -> (B, T): where there is an element
by_hand = both_directions(ahead, back, some_inputs, some_lengths)  # (B, T, 2H)
packed = pack_padded_sequence(some_inputs, some_lengths, batch_first=True, enforce_sorted=False)
library, _ = pad_packed_sequence(layer(packed)[0], batch_first=True)  # (B, T, 2H)
unpacked, _ = layer(some_inputs)  # (B, T, 2H)

weights = torch.randn(by_hand.shape, dtype=torch.float64)
(by_hand * weights)[real].sum().backward()
(library * weights)[real].sum().backward()
grad_pairs = [(w.grad, getattr(layer, name).grad) for name, w in ahead.named_parameters()]
grad_pairs += [(w.grad, getattr(layer, f"{name}_reverse").grad) for name, w in back.named_parameters()]
largest_difference = (by_hand - library)[real].abs().max().item()
largest_grad_difference = max((ours - theirs).abs().max().item() for ours, theirs in grad_pairs)
print(f"packed: outputs differ by up to {largest_difference:.0e}, gradients by {largest_grad_difference:.0e}")
spoiled = (unpacked - library)[real].abs()  # (n_real, 2H)
print(f"not packed: forward half {spoiled[:, :3].max():.0e}, backward half {spoiled[:, 3:].max():.2f}")
assert largest_difference < 1e-12
assert largest_grad_difference < 1e-10
assert spoiled[:, :3].max() < 1e-12
assert spoiled[:, 3:].max() > 0.01

# %% [markdown]
# Without packing, the forward half is right and the backward half is wrong, and no error is raised.
#
# ### A task without a rule: capitals
#
# Speech recognition gives words without capitals and punctuation, and a second program has to restore
# them. So our second task is to tell, from the lower-case words of a paragraph alone, which had a capital.
# No two-line rule does this, because a capital may come from a name, or from the beginning of a sentence,
# which now has to be guessed from the words around it. We train on a part of the paragraphs, 40 words of
# each. (Restoring punctuation would be a poor test of a state. In a trial, an LSTM in both directions
# gained at most three hundredths of F1 on the window for commas, semicolons and full stops, and lost to it
# at the full stops within a paragraph, since two words on either side nearly settle a mark.) Which
# capitals should need words that come _after_ the capital?


# %%
def capital_tags(paragraph):
    """Lower-case words, tags (1 for a capital), and whether each word begins a sentence."""
    words = []
    tags = []
    starts = []
    at_start = True
    for token in re.findall(r"\w+(?:[’'-]\w+)*|[.!?]", paragraph):
        if token in ".!?":
            at_start = True
        else:
            words.append(token.lower())
            tags.append(int(token[0].isupper()))
            starts.append(at_start)
            at_start = False
    return words, tags, starts


N_CAPITAL_PARAGRAPHS = 1300
order = np.random.default_rng(0).permutation(len(paragraphs) * 8 // 10)[:N_CAPITAL_PARAGRAPHS]
paragraphs_by_part = in_parts(paragraphs)
paragraphs_by_part["training"] = [paragraphs_by_part["training"][i] for i in order]
with_tags = {}  # by part: words and tags of the paragraphs with five words or more
starts_by_part = {}  # and which of their words begin a sentence
for part, texts in paragraphs_by_part.items():
    examples = [capital_tags(paragraph) for paragraph in texts]
    examples = [(words, tags, starts) for words, tags, starts in examples if len(words) >= 5]
    with_tags[part] = [(words, tags) for words, tags, _ in examples]
    starts_by_part[part] = [starts for _, _, starts in examples]
capitals, n_capital_tokens = number_tokens(with_tags, longest=40)
begins = np.concatenate(starts_by_part["test"])  # (n,)
n_train_words = sum(len(tokens) for tokens, _ in capitals["training"])
print(
    f"{len(capitals['training'])} paragraphs of {n_train_words} words for training, {len(begins)} test words"
)

# %% [markdown]
# The control is a table that looks at the word alone: a word gets a capital if it had one in more than
# half of its places in the training paragraphs. We split the recall into two: which share of the capitals
# at the beginning of a sentence is found, and which share of all others, mostly names?


# %%
def capital_scores(guesses):
    """Precision, recall, F1, the recall of sentence starts and of the others, on the test words (n,)."""
    capital = true_capitals == 1
    of_starts = guesses[capital & begins].mean()
    of_others = guesses[capital & ~begins].mean()
    return [*precision_recall_f1(guesses, true_capitals), of_starts, of_others]


seen = Counter()
with_capital = Counter()
for tokens, tags in capitals["training"]:
    seen.update(tokens.tolist())
    with_capital.update(tokens[tags == 1].tolist())
test_tokens = torch.cat([tokens for tokens, _ in capitals["test"]]).tolist()
true_capitals = torch.cat([tags for _, tags in capitals["test"]]).numpy()  # (n,)
by_word = np.array([int(2 * with_capital[token] > seen[token]) for token in test_tokens])  # (n,)
word_scores = capital_scores(by_word)
HEADER = f"{'':16s}{'precision':>10s}{'recall':>8s}{'F1':>8s}{'starts':>9s}{'others':>8s}"
print(HEADER)
print(f"{'word alone':16s}" + "".join(f"{x:{w}.3f}" for x, w in zip(word_scores, (10, 8, 8, 9, 8))))

# %% [markdown]
# Now the window, the forward GRU and one in both directions, three seeds each.


# %%
class BothWaysTagger(Tagger):
    """Sees all tokens before and after. The batch is packed, so that backward does not begin in padding."""

    def __init__(self, n_tokens, n_hidden=32, n_embedding=32):
        super().__init__(n_tokens, 2 * n_hidden, n_embedding)
        self.layer = nn.GRU(n_embedding, n_hidden, batch_first=True, bidirectional=True)

    def features(self, embedded, lengths):
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.layer(packed)[0], batch_first=True)  # (B, T, 2H)
        return outputs


CAPITAL_KINDS = {
    "window": (WindowTagger, {}),
    "GRU forward": (RecurrentTagger, {}),
    "GRU both ways": (BothWaysTagger, {}),
}
capital_f1 = {}
starts_found = {}
print(f"{HEADER}   F1 for each seed")
for name, (kind, options) in CAPITAL_KINDS.items():
    rows = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        model = kind(n_capital_tokens, **options)
        train(model, capitals["training"], n_epochs=5, learning_rate=0.01, batch_size=48, seed=seed)
        guesses, _ = predict(model, capitals["test"])
        rows.append(capital_scores(guesses))
    means = np.mean(rows, axis=0)  # (5,)
    capital_f1[name] = [row[2] for row in rows]
    starts_found[name] = means[3]
    numbers = "".join(f"{x:{w}.3f}" for x, w in zip(means, (10, 8, 8, 9, 8)))
    print(f"{name:16s}{numbers}   " + "  ".join(f"{f1:.3f}" for f1 in capital_f1[name]))

# %% [markdown]
# About nine words in ten have no capital, so a tagger that never gives one would have an accuracy of about
# nine tenths, and a recall and an F1 of zero. That is why we look at precision and recall.
#
# The control has a surprise. In F1 the table is better than the window with every seed and about as good
# as the forward GRU, because it knows most names. With so little text and training, the networks make no
# more of what they see besides the word, though with more of both they may. Only the GRU in both
# directions beats the table with every seed. The column of the sentence starts shows how: the forward GRU
# finds hardly more of them than the window, probably because without a full stop the end of a sentence
# often shows only in how the text goes on. Reading both ways finds clearly more, although most remain
# hidden.

# %%
assert min(capital_f1["GRU forward"]) > max(capital_f1["window"]), (
    "for capitals, too, a state beats the window"
)
assert min(capital_f1["GRU both ways"]) > max(capital_f1["GRU forward"]), (
    "for capitals both directions beat one with every seed"
)
assert max(capital_f1["window"]) < word_scores[2], "a table of single words beats the window"
assert abs(np.mean(capital_f1["GRU forward"]) - word_scores[2]) < 0.03, (
    "and is about as good as the forward GRU"
)
assert min(capital_f1["GRU both ways"]) > word_scores[2] + 0.01, (
    "both directions beat the table with every seed"
)
assert starts_found["GRU forward"] < starts_found["window"] + 0.04, (
    "the forward GRU finds hardly more sentence starts than the window"
)
assert starts_found["GRU both ways"] > starts_found["GRU forward"] + 0.05, (
    "both directions find clearly more sentence starts"
)
assert starts_found["GRU both ways"] < 0.5, "most sentence starts remain hidden"

# %% [markdown]
# ## What to remember
#
# - Tagging gives a label to each element, so the loss and the scores run over all elements, and padding
#   must be left out of both.
# - A layer that reads backward meets the padding first. Pack the batch, or reverse each sequence within
#   its own length.
# - Compare a recurrent tagger with what is simpler, a rule, a table of words, a window, or a window with
#   the mean of the sequence, before you credit its state.
# - A state carries a bit over any distance, and reading in both directions helps if what follows matters.
#   If two lines of code solve the task, use the two lines.
#
# ## Try it
#
# Predict first, then change the code and run the file from the top.
#
# 1. Train on pieces of 20 tokens: set `longest=80` to `longest=20`. Will the GRU still be right on long
#    paragraphs? Look at the accuracy by distance.
# 2. Let the second task have fewer paragraphs: set `N_CAPITAL_PARAGRAPHS` to 400. A table counts words,
#    while a network has to learn a vector for each. Which F1 will fall most, and will reading in
#    both directions still beat the table?
# 3. From a blank cell at the end: give a capital if the table (`by_word`) or the last GRU (`guesses`)
#    says so. What will precision and recall do? Compare `capital_scores` with the rows of the two.
#
# ## Sources
#
# - A. Graves, J. Schmidhuber, "Framewise phoneme classification with bidirectional LSTM and other neural
#   network architectures", _Neural Networks_ 18, 2005: a label for each step, and both directions.
#   Reproduced: "for capitals both directions beat one with every seed".
# - M. Schuster, K. Paliwal, "Bidirectional recurrent neural networks", _IEEE Transactions on Signal
#   Processing_ 45, 1997. Reproduced: `test_both_directions_match_pytorch`.
# - A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and understanding recurrent networks", 2015: units
#   that are switched by quotation marks. Reproduced: "with every seed one unit is switched by the marks".
# - H. Melville, _Moby-Dick_, 1851, the text.
