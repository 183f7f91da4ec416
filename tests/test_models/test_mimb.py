import math

import pytest
import torch

from mipnet_mmpose import MIMB, encode_lambdas, fold, unfold


def formula(mimb, x, code):
    """The paper's formula, written out from the weights."""
    weights = mimb.state_dict()
    pooled = x.mean(dim=(2, 3))
    hidden = torch.relu(pooled @ weights['excite.0.weight'].T)
    excite = torch.sigmoid(hidden @ weights['excite.2.weight'].T)
    hidden = code @ weights['embed.0.weight'].T + weights['embed.0.bias']
    mean, var = weights['embed.1.running_mean'], weights['embed.1.running_var']
    hidden = (hidden - mean) / torch.sqrt(var + 1e-5)
    hidden = torch.relu(hidden * weights['embed.1.weight'] + weights['embed.1.bias'])
    hidden = hidden @ weights['embed.3.weight'].T + weights['embed.3.bias']
    return x * (excite * torch.sigmoid(hidden))[:, :, None, None]


@pytest.mark.parametrize('num_instances', [1, 2, 4])
def test_output_is_the_formula_of_the_paper(num_instances):
    mimb = MIMB(16, num_instances).eval()
    for parameter in mimb.parameters():
        torch.nn.init.normal_(parameter)
    mimb.embed[1].running_mean.normal_()
    mimb.embed[1].running_var.uniform_(0.5, 2)
    x, code = torch.randn(6, 16, 5, 3), torch.rand(6, num_instances)
    torch.testing.assert_close(mimb(x, code), formula(mimb, x, code))


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_identity_gate_is_exactly_one(training, dtype):
    mimb = MIMB(8, 3, init='identity').to(dtype).train(training)
    x = torch.randn(6, 8, 4, 4, dtype=dtype)
    assert torch.equal(mimb(x, torch.eye(3).to(dtype).repeat(2, 1)), x)


def test_one_row_can_be_trained():
    mimb = MIMB(8, num_instances=1)
    x = torch.randn(1, 8, 4, 4, requires_grad=True)
    mimb(x, torch.ones(1, 1)).sum().backward()
    assert x.grad.isfinite().all()


def test_a_checkpoint_brings_the_gate_its_weights_belong_to():
    trained, fresh = MIMB(8, init='identity'), MIMB(8, init='paper')
    fresh.load_state_dict(trained.state_dict())
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(fresh.eval()(x, torch.eye(2)), x)


def drawn(**kwargs):
    """A block with gates that differ from 1."""
    torch.manual_seed(0)
    mimb = MIMB(8, **kwargs).eval()
    for parameter in mimb.parameters():
        torch.nn.init.normal_(parameter)
    return mimb


def test_bypass_leaves_the_primary_instance_as_it_is():
    held, free = drawn(bypass_primary=True, num_instances=3), drawn(num_instances=3)
    x = torch.randn(4, 8, 5, 4)
    code = encode_lambdas([0, 1, 2, 0.25], 3)
    found, modulated = held(x, code), free(x, code)
    assert torch.equal(found[0], x[0])
    torch.testing.assert_close(found[1:3], modulated[1:3])
    # the gate of 0.25 is a quarter of its own and three quarters of 1
    torch.testing.assert_close(found[3], 0.25 * modulated[3] + 0.75 * x[3])
    found[0].sum().backward()
    assert all(not p.grad.any() for p in held.parameters())


@pytest.mark.parametrize('bypass', [False, True])
def test_checkpoint_of_another_bypass_primary_is_refused(bypass):
    held, other = MIMB(8, bypass_primary=bypass), MIMB(8, bypass_primary=not bypass)
    message = f'bypass_primary={bypass} .*bypass_primary={not bypass}'
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(held.state_dict())
    with pytest.raises(ValueError, match='checkpoint has bypass_primary=False'):
        before = {k: v for k, v in held.state_dict().items() if 'bypass' not in k}
        MIMB(8, bypass_primary=True).load_state_dict(before)  # of a version without
    MIMB(8).load_state_dict(before)


def test_tokens_are_pooled_over_their_positions():
    mimb = drawn()
    x, code = torch.randn(2, 8, 3, 4), torch.eye(2)
    tokens = x.flatten(2).transpose(1, 2)
    out = mimb(x, code).flatten(2).transpose(1, 2)
    torch.testing.assert_close(mimb(tokens, code), out)


def test_batch_norm_learns_statistics_where_norm_eval_would_stop_it():
    mimb = MIMB(8)
    mimb.embed[1].eval()  # as a stock backbone's norm_eval does to all batch norms
    mimb(torch.randn(2, 8, 4, 4), torch.eye(2))
    assert mimb.embed[1].num_batches_tracked == 1
    mimb.eval()
    mimb(torch.randn(2, 8, 4, 4), torch.eye(2))
    assert mimb.embed[1].num_batches_tracked == 1


def test_checkpoint_of_another_number_of_instances_is_refused():
    with pytest.raises(ValueError, match='num_instances=3.*num_instances=2'):
        MIMB(8, 2).load_state_dict(MIMB(8, 3).state_dict())


def test_integer_lambda_is_one_hot_and_real_lambda_interpolates():
    codes = encode_lambdas([0, 1, 2, 0.25, 1.5], 3)
    expected = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.75, 0.25, 0], [0, 0.5, 0.5]]
    torch.testing.assert_close(codes, torch.tensor(expected, dtype=torch.float32))
    assert encode_lambdas([0], 1).tolist() == [[1.0]]


@pytest.mark.parametrize('value', [-0.1, 1.01, 7, math.nan, math.inf])
def test_lambda_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match='outside 0 ... 1'):
        encode_lambdas([0, value], 2)
    with pytest.raises(ValueError, match='empty'):
        encode_lambdas([], 2)


def test_folding_is_sample_major_and_unfolds():
    x = torch.arange(6.0).reshape(2, 3)
    rows = fold(x, 3)
    assert all(torch.equal(rows[b * 3 + i], x[b]) for b in range(2) for i in range(3))
    assert torch.equal(unfold(rows, 3), x[:, None].expand(2, 3, 3))
