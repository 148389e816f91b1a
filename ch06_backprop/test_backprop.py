"""Chapter 6: what the lessons computed, and how fast their kernels are."""

import pytest


@pytest.fixture
def chain_rule(lesson):
    return lesson("chain_rule")


@pytest.fixture
def forward_backward(lesson):
    return lesson("forward_backward")


@pytest.fixture
def micrograd(lesson):
    return lesson("micrograd")


@pytest.fixture
def backprop_ninja(lesson):
    return lesson("backprop_ninja")


@pytest.fixture
def weight_init(lesson):
    return lesson("weight_init")


@pytest.fixture
def tensor_autograd(lesson):
    return lesson("tensor_autograd")


# 6.1 chain_rule


# 6.2 forward_backward


# 6.3 micrograd


# 6.4 backprop_ninja


# 6.5 weight_init


# 6.6 tensor_autograd


# benchmarks
