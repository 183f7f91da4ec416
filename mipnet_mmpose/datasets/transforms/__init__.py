from .multi_instance_target import GenerateMultiInstanceTarget

__all__ = ['GenerateMultiInstanceTarget']
