"""Empty children of MMPose's registries, the scope of our models' names."""

import mmpose.registry
from mmengine.registry import Registry

for _registry in list(vars(mmpose.registry).values()):
    if isinstance(_registry, Registry) and _registry.scope == 'mmpose':
        Registry(
            _registry.name,
            parent=_registry,
            scope='mipnet_mmpose',
            locations=['mipnet_mmpose'],
        )
