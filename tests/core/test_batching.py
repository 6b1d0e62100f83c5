import pytest
import torch

from vitgeom_nb.batching import in_batches, is_out_of_memory


def test_equals_one_call_for_every_size():
    x = torch.arange(10.0).reshape(10, 1)
    for size in (1, 3, 10, 99):
        torch.testing.assert_close(in_batches(lambda a, b: a * b, x, x, size=size), x * x, rtol=0, atol=0)


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_what_does_not_fit_is_halved_and_nothing_is_computed_twice(error):
    seen = []

    def picky(a):
        if len(a) > 3:
            raise error
        seen.extend(a.tolist())
        return 2 * a

    x = torch.arange(11.0)
    torch.testing.assert_close(in_batches(picky, x, size=8), 2 * x, rtol=0, atol=0)
    assert seen == x.tolist()


def test_a_single_row_that_does_not_fit_raises():
    def never(a):
        raise MemoryError

    with pytest.raises(MemoryError):
        in_batches(never, torch.zeros(4), size=8)


def test_other_errors_pass_through_at_once():
    calls = []

    def broken(a):
        calls.append(len(a))
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_batches(broken, torch.zeros(4), size=8)
    assert calls == [4]


def test_recognises_the_allocator_of_the_host():
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"))
    assert not is_out_of_memory(ValueError("allocate memory"))
