from .multi_instance_loss import MultiInstanceLoss

__all__ = ['MultiInstanceLoss']
