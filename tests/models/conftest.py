"""What tests of networks share."""

import pytest
import torch


@pytest.fixture
def forget_traces():
    """torch holds the weights of every network that was ever traced: about 100 MB each. As torch's own tests do."""
    yield
    torch._C._jit_clear_class_registry()
    torch.jit._recursive.concrete_type_store = torch.jit._recursive.ConcreteTypeStore()
    torch.jit._state._clear_class_state()
