"""Chapter 11: what the lessons computed, and how fast their kernels are."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def why_recurrence(lesson):
    return lesson("why_recurrence")


@pytest.fixture
def rnn_and_bptt(lesson):
    return lesson("rnn_and_bptt")


@pytest.fixture
def vanishing_gradients(lesson):
    return lesson("vanishing_gradients")


@pytest.fixture
def lstm(lesson):
    return lesson("lstm")


@pytest.fixture
def gru(lesson):
    return lesson("gru")


@pytest.fixture
def text_generation(lesson):
    return lesson("text_generation")


# 11.1 why_recurrence


# 11.2 rnn_and_bptt


# 11.3 vanishing_gradients


# 11.4 lstm


# 11.5 gru


# 11.6 text_generation


# benchmarks
