from .multi_instance_dataset import MultiInstanceDataset
from .transforms import GenerateMultiInstanceTarget

__all__ = ['GenerateMultiInstanceTarget', 'MultiInstanceDataset']
