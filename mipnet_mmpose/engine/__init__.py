from .freeze_stock_hook import FreezeStockHook
from .mipnet_check_hook import MIPNetCheckHook

__all__ = ['FreezeStockHook', 'MIPNetCheckHook']
