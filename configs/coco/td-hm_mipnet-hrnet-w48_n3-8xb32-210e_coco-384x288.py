_base_ = ['./td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288.py']

# instances per box
num_instances = 3

# model settings
model = dict(backbone=dict(num_instances=num_instances))

# data loaders
train_dataloader = dict(dataset=dict(num_instances=num_instances))
