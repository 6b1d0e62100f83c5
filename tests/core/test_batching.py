import pytest
import torch

from vitgeom_nb.core.batching import in_batches, is_out_of_memory


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


@pytest.mark.parametrize(
    "words",
    [
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9",
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
        "cuFFT error: CUFFT_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
    ],
)
def test_recognises_the_words_of_every_allocator(words):
    assert is_out_of_memory(RuntimeError(words))
    assert not is_out_of_memory(ValueError(words))


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
        "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED",
        "Expected all tensors to be on the same device",
    ],
)
def test_other_errors_of_a_device_do_not_mean_memory(words):
    assert not is_out_of_memory(RuntimeError(words))


def test_recognises_a_tensor_that_no_machine_holds():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
