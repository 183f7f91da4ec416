"""Where MIMBs go in each family of backbones, unless a person says otherwise."""

import re

from torch import nn

# HRNet and ResNet are the paper's. The others follow them: about the last third of the
# network runs once per instance, and every stage that gives an output sees λ.
# {1/2} is the number of the submodule half-way down those of that name.
MIMB_PLACES: dict[str, tuple[str, ...]] = {
    'AlexNet': ('features.{1/2}:before', 'features.{3/4}:before'),
    'CPM': ('stem:after', 'middle:after'),
    'CSPDarknet': ('stage3:before', 'stage4:before'),
    'CSPNeXt': ('stage3:before', 'stage4:before'),
    'HRNet': ('stage4:before', 'stage4:after'),
    'HourglassNet': ('stem:after', 'hourglass_modules.0:after'),
    'LiteHRNet': ('stage2:before', 'stage2:after'),
    'MSPN': ('multi_stage_mspn.0.downsample:after',),
    'MobileNetV2': ('layer5:before', 'layer7:before'),
    'MobileNetV3': ('layer{1/2}:before', 'layer{3/4}:before'),
    'PyramidVisionTransformer': ('layers.2.0:before', 'layers.3.0:before'),
    'RSN': ('multi_stage_rsn.0.downsample:after',),
    'ResNet': ('layer3:before', 'layer4:before'),
    'ShuffleNetV1': ('layers.1:before', 'layers.2:before'),
    'ShuffleNetV2': ('layers.1:before', 'layers.2:before'),
    'SwinTransformer': ('stages.2.blocks.{1/2}:before', 'stages.3:before'),
    'VGG': ('features.{1/2}:before', 'features.{3/4}:before'),
    'ViPNAS_MobileNetV3': ('layer{1/2}:before', 'layer{3/4}:before'),
    'ViPNAS_ResNet': ('layer3:before', 'layer4:before'),
    'VisionTransformer': ('layers.{1/2}:before', 'layers.{3/4}:before'),
}


def parse_place(place: str) -> dict:
    """``'stage4:before'`` → ``dict(module='stage4', position='before')``."""
    module, _, position = place.rpartition(':')
    return dict(module=module, position=position)


def default_places(backbone: nn.Module) -> list[dict]:
    """The places for a stock backbone, as ``MIMBBackbone(insert=...)`` takes them."""
    names = [name for name, _ in backbone.named_modules()]
    for family in type(backbone).__mro__:
        if family.__name__ in MIMB_PLACES:
            places = MIMB_PLACES[family.__name__]
            return [parse_place(_numbered(place, names)) for place in places]
    children = ', '.join(name for name, _ in backbone.named_children())
    raise ValueError(
        f'model.backbone: {type(backbone).__name__} has no default place for MIMBs; '
        f'name one with insert (at its top are {children})'
    )


def _numbered(place: str, names: list[str]) -> str:
    match = re.fullmatch(r'(.+)\{(\d)/(\d)\}(.+)', place)
    if match is None:
        return place
    before, part, whole, after = match.groups()
    siblings = [n for n in names if re.fullmatch(re.escape(before) + r'\d+', n)]
    return siblings[int(part) * len(siblings) // int(whole)] + after
