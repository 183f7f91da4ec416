from mmengine.dist import get_world_size


def pad_results(results: list, size: int) -> None:
    """Give each process as many results, in place.

    mmengine before 0.10.3 loses what a process has more than another. What is
    repeated here lies behind all others when they are collected, and is cut off.

    Args:
        results (list): of this process, one per sample.
        size (int): samples of all processes.
    """
    if get_world_size() > 1:
        missing = -(-size // get_world_size()) - len(results)
        results += results[-1:] * missing
