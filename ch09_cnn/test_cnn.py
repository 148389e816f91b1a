"""Chapter 9: what the lessons computed, and how fast their kernels are."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F


@pytest.fixture
def convolution(lesson):
    return lesson("convolution")


@pytest.fixture
def pooling(lesson):
    return lesson("pooling")


@pytest.fixture
def architectures(lesson):
    return lesson("architectures")


@pytest.fixture
def residual_blocks(lesson):
    return lesson("residual_blocks")


@pytest.fixture
def transfer_learning(lesson):
    return lesson("transfer_learning")


@pytest.fixture
def convolution_backward(lesson):
    return lesson("convolution_backward")


# 9.1 convolution


# 9.2 pooling


# 9.3 architectures


# 9.4 residual_blocks


# 9.5 transfer_learning


# 9.6 convolution_backward


# benchmarks
