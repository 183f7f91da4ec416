"""Write the checkpoint that the wheel brings along, from one of studies/photographs.py.

Weights of MIMBs are stored in half precision; stock ones only where that
loses nothing, so that λ = 0 answers as PP-TinyPose to the last digit.
"""

import argparse
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', help='OUT/mipnet-SEED/epoch_N.pth')
    parser.add_argument('out', type=Path, help='file to write')
    args = parser.parse_args()
    import torch

    import mipnet_mmpose  # noqa: F401 (what checkpoints hold)

    checkpoint = torch.load(args.checkpoint, map_location='cpu')
    packed = {}
    for key, value in checkpoint['state_dict'].items():
        if value.dtype == torch.float32:
            ours = '.mimbs.' in key
            half = value.half()
            value = half if ours or torch.equal(half.float(), value) else value
        packed[key] = value.clone()
    meta = dict(dataset_meta=checkpoint['meta']['dataset_meta'])
    torch.save(dict(state_dict=packed, meta=meta), args.out)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    print(f'{args.out.stat().st_size / 1e6:.1f} MB, sha256 {digest}')
    print(args.out)


if __name__ == '__main__':
    main()
