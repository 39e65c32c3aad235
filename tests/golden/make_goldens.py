#!/usr/bin/env python3
"""Computes the golden tensors of the kernel tests with PyTorch, in float64, and writes one safetensors file a
family beside this script.

    python tests/golden/make_goldens.py            # needs torch, numpy, safetensors

Tensors are named `case/tensor`; values are F64, labels and lengths I32. Images are N C H W, convolution weights
K C R S, sequences T N C, LSTM weights D 4H I (D directions, gates i f g o), all row-major. The parameters of the
cases are a JSON object `{case: {parameter: value}}` under the `__metadata__` key `scrawl`.

Inputs are multiples of 1/64 in [-4, 4], so they are exact in bf16, f16, f32 and f64, unless a case's parameter
`exact_in` says otherwise: one golden serves every storage type. The seed of a case is the CRC-32 of its name and
the generator is MT19937, whose stream NumPy has frozen: a second run writes the same inputs.

Gradients are those of sum(y * dy), with dy stored beside them.
"""

import json
import pathlib
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent


class Family:
    """The cases of one file."""

    def __init__(self, name):
        self.name, self.tensors, self.parameters = name, {}, {}

    def case(self, name, **parameters):
        return Case(self, f"{self.name}.{name}", parameters)

    def save(self):
        path = HERE / f"{self.name}.safetensors"
        save_file(self.tensors, path, metadata={"scrawl": json.dumps(self.parameters, sort_keys=True)})
        print(f"{path.name}: {len(self.parameters)} cases, {path.stat().st_size} bytes")


class Case:
    """Draws the inputs of one case and records its tensors."""

    def __init__(self, family, name, parameters):
        self.family, self.name = family, name
        self.random = np.random.RandomState(zlib.crc32(name.encode()))
        family.parameters[name] = parameters

    def draw(self, *shape, grad=False):
        values = np.clip(np.round(self.random.standard_normal(shape) * 64) / 64, -4, 4)
        return torch.tensor(values, dtype=torch.float64, requires_grad=grad)

    def integers(self, low, high, *shape):
        return torch.tensor(self.random.randint(low, high, size=shape))

    def keep(self, **tensors):
        for key, value in tensors.items():
            value = torch.as_tensor(value).detach()
            kind = np.float64 if value.is_floating_point() else np.int32
            self.family.tensors[f"{self.name}/{key}"] = np.ascontiguousarray(value.numpy().astype(kind))


def conv2d():
    family = Family("conv2d")
    cases = {  # N C H W, K R S, then stride, padding, dilation (height, width) and groups
        "unit": ((2, 3, 6, 7), (4, 3, 3), {}),
        "same": ((2, 2, 8, 6), (5, 3, 3), {"padding": (1, 1)}),
        "pointwise": ((2, 7, 3, 5), (3, 1, 1), {}),
        "one_channel": ((3, 1, 9, 11), (8, 3, 3), {"padding": (1, 1)}),
        "five_by_five": ((1, 3, 11, 10), (4, 5, 5), {}),
        "stride2": ((2, 3, 9, 8), (4, 3, 3), {"stride": (2, 2), "padding": (1, 1)}),
        "dilation2": ((1, 2, 11, 9), (3, 3, 3), {"dilation": (2, 2), "padding": (2, 1)}),
        "groups": ((2, 6, 5, 7), (4, 3, 3), {"padding": (1, 1), "groups": 2}),
        "depthwise": ((2, 5, 7, 6), (5, 3, 3), {"padding": (1, 1), "groups": 5}),
        "uneven": ((2, 4, 13, 17), (6, 3, 2), {"stride": (3, 2), "padding": (0, 1), "dilation": (1, 3), "groups": 2}),
        "odd_channels": ((1, 17, 7, 5), (19, 3, 3), {"padding": (1, 1)}),
    }
    for name, (image, filters, given) in cases.items():
        geometry = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | given
        case = family.case(name, **geometry)
        x = case.draw(*image, grad=True)  # (N, C, H, W)
        w = case.draw(filters[0], image[1] // geometry["groups"], *filters[1:], grad=True)  # (K, C / groups, R, S)
        b = case.draw(filters[0], grad=True)
        y = F.conv2d(x, w, b, **geometry)
        dy = case.draw(*y.shape)
        y.backward(dy)
        case.keep(x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad)
    family.save()


def pool():
    """Maxima: the first of equal values gets the gradient. Averages: the divisor is the number of pixels inside the
    image (PyTorch's count_include_pad=False)."""
    family = Family("pool")
    geometries = {  # window, stride, padding
        "2x2": ((2, 2), (2, 2), (0, 0)),
        "height": ((2, 1), (2, 1), (0, 0)),
        "overlap": ((3, 3), (2, 2), (1, 1)),
        "uneven": ((3, 2), (1, 2), (1, 0)),
    }
    for name, (window, stride, padding) in geometries.items():
        for kind in ("max", "average"):
            case = family.case(f"{kind}_{name}", kind=kind, window=window, stride=stride, padding=padding)
            x = torch.round(case.draw(2, 3, 9, 7) * 2).requires_grad_()  # (N, C, H, W), small integers: many ties
            if kind == "max":
                y = F.max_pool2d(x, window, stride, padding)
            else:
                y = F.avg_pool2d(x, window, stride, padding, count_include_pad=False)
            dy = case.draw(*y.shape)
            y.backward(dy)
            case.keep(x=x, y=y, dy=dy, dx=x.grad)

    case = family.case("max_not_finite", kind="max", window=(2, 2), stride=(2, 2), padding=(0, 0))
    x = case.draw(1, 1, 4, 6)
    x[0, 0, :2, :2] = -torch.inf
    x[0, 0, 1, 3] = torch.nan
    x[0, 0, :2, 4:] = torch.nan
    x[0, 0, 2, 0] = torch.inf
    case.keep(x=x, y=F.max_pool2d(x, 2))
    family.save()


def batch_norm():
    """The running variance is the unbiased one; momentum is the weight of the new batch. With `widths`, statistics
    are over the first widths[n] columns of image n, and y and dx are zero beyond."""
    family = Family("batch_norm")
    for name, shape, offset in (("image", (3, 4, 5, 6), 0), ("odd", (2, 17, 3, 5), 0), ("two_values", (2, 3, 1, 1), 0),
                                ("large_mean", (2, 2, 7, 9), 4096)):
        parameters = {"epsilon": 1e-5, "momentum": 0.1} | ({"exact_in": ["f32", "f64"]} if offset else {})
        batch_norm_case(family.case(name, **parameters), shape, offset)
    batch_norm_case(family.case("widths", epsilon=1e-5, momentum=0.1), (4, 3, 5, 8), 0, widths=(8, 3, 5, 1))
    family.save()


def batch_norm_case(case, shape, offset, widths=None):
    n, channels, height, width = shape
    x = (case.draw(*shape) + offset).requires_grad_()  # (N, C, H, W)
    gamma, beta = case.draw(channels, grad=True), case.draw(channels, grad=True)
    running_mean, running_var = case.draw(channels), case.draw(channels).abs() + 0.5
    case.keep(running_mean=running_mean.clone(), running_var=running_var.clone())
    y_eval = F.batch_norm(x, running_mean, running_var, gamma, beta, training=False, eps=1e-5)

    valid = torch.ones(n, height, width, dtype=torch.bool)
    if widths:
        valid = (torch.arange(width) < torch.tensor(widths)[:, None])[:, None, :].expand(n, height, width)
        case.keep(widths=torch.tensor(widths))
    pixels = x.permute(0, 2, 3, 1)[valid]  # (pixels, C)
    normed = F.batch_norm(pixels, running_mean, running_var, gamma, beta, training=True, momentum=0.1, eps=1e-5)
    y = torch.zeros(n, height, width, channels, dtype=torch.float64)
    y[valid] = normed
    y = y.permute(0, 3, 1, 2)
    dy = case.draw(*shape)
    y.backward(dy)
    case.keep(x=x, gamma=gamma, beta=beta, y=y, dy=dy, dx=x.grad, dgamma=gamma.grad, dbeta=beta.grad,
              y_eval=torch.where(valid[:, None], y_eval, 0), new_running_mean=running_mean,
              new_running_var=running_var)


def activation():
    family = Family("activation")
    for kind, function in (("relu", torch.relu), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)):
        case = family.case(kind)
        edges = torch.tensor([0.0, -0.0, 2.0**-14, -(2.0**-14), 16.0, -16.0, 128.0, -128.0, torch.inf, -torch.inf])
        x = torch.cat([case.draw(247), edges.double()]).requires_grad_()  # (257,)
        y = function(x)
        dy = case.draw(257)
        y.backward(dy)
        case.keep(x=x, y=y, dy=dy, dx=x.grad)
    family.save()


def dense():
    family = Family("dense")
    for name, (rows, inputs, outputs) in {"small": (3, 5, 4), "one_row": (1, 33, 7), "odd": (19, 37, 23)}.items():
        case = family.case(name)
        x, w, b = case.draw(rows, inputs, grad=True), case.draw(outputs, inputs, grad=True), case.draw(outputs, grad=True)
        y = F.linear(x, w, b)
        dy = case.draw(*y.shape)
        y.backward(dy)
        case.keep(x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad)
    family.save()


def lstm():
    """One layer, one trained bias. y is zero from lengths[n] on; a sequence of length 0 has hn = h0 and cn = c0."""
    family = Family("lstm")
    cases = {  # T N I H D lengths
        "plain": (5, 3, 4, 6, 1, None),
        "bidirectional": (6, 2, 5, 7, 2, None),
        "lengths": (7, 4, 5, 6, 2, (7, 2, 5, 1)),
        "zero_length": (4, 3, 3, 5, 2, (4, 0, 2)),
        "one_step": (1, 5, 3, 4, 2, None),
        "hidden_17": (5, 3, 9, 17, 2, (3, 5, 4)),
    }
    for name, (steps, batch, inputs, hidden, directions, lengths) in cases.items():
        case = family.case(name, hidden=hidden, directions=directions)
        x = case.draw(steps, batch, inputs, grad=True)  # (T, N, I)
        scale = 0.25  # a power of two keeps the grid exact, and gates away from saturation
        w_ih = (case.draw(directions, 4 * hidden, inputs) * scale).requires_grad_()
        w_hh = (case.draw(directions, 4 * hidden, hidden) * scale).requires_grad_()
        b = case.draw(directions, 4 * hidden, grad=True)
        h0, c0 = case.draw(directions, batch, hidden, grad=True), case.draw(directions, batch, hidden, grad=True)
        y, hn, cn = run_lstm(x, w_ih, w_hh, b, h0, c0, lengths or (steps,) * batch)
        dy, dhn, dcn = case.draw(*y.shape), case.draw(*hn.shape), case.draw(*cn.shape)
        torch.autograd.backward([y, hn, cn], [dy, dhn, dcn])
        case.keep(x=x, w_ih=w_ih, w_hh=w_hh, b=b, h0=h0, c0=c0, y=y, hn=hn, cn=cn, dy=dy, dhn=dhn, dcn=dcn, dx=x.grad,
                  dw_ih=w_ih.grad, dw_hh=w_hh.grad, db=b.grad, dh0=h0.grad, dc0=c0.grad,
                  lengths=torch.tensor(lengths or (steps,) * batch))
    family.save()


def run_lstm(x, w_ih, w_hh, b, h0, c0, lengths):
    directions, gates, inputs = w_ih.shape
    module = torch.nn.LSTM(inputs, gates // 4, bidirectional=directions == 2, dtype=torch.float64)
    names = [f"{kind}_l0{suffix}" for suffix in ("", "_reverse")[:directions]
             for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    values = [v for d in range(directions) for v in (w_ih[d], w_hh[d], b[d], torch.zeros_like(b[d]))]
    live = [n for n, length in enumerate(lengths) if length > 0]  # packing refuses empty sequences
    packed = torch.nn.utils.rnn.pack_padded_sequence(x[:, live], [lengths[n] for n in live], enforce_sorted=False)
    packed_y, (h, c) = torch.func.functional_call(module, dict(zip(names, values)), (packed, (h0[:, live], c0[:, live])))
    live_y, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_y, total_length=x.shape[0])
    y = torch.zeros(*x.shape[:2], live_y.shape[2], dtype=torch.float64)
    y[:, live] = live_y
    hn, cn = h0.clone(), c0.clone()
    hn[:, live], cn[:, live] = h, c
    return y, hn, cn


def softmax():
    family = Family("softmax")
    for log, function in ((False, torch.softmax), (True, torch.log_softmax)):
        prefix = "log_" if log else ""
        for name, shape in {"narrow": (5, 3), "classes_30": (7, 30), "classes_62": (4, 62), "wide": (2, 515),
                            "one_class": (3, 1), "spread": (4, 40), "masked": (3, 11), "offset": (3, 9)}.items():
            case = family.case(prefix + name, log=log, **({"exact_in": ["f32", "f64"]} if name == "offset" else {}))
            x = case.draw(*shape)
            if name == "spread": x = x * 64  # logit range of several hundred
            if name == "masked": x[:, ::2] = -torch.inf
            if name == "offset": x = torch.round(x * 4) - 1e7
            x.requires_grad_()
            y = function(x, dim=1)
            dy = case.draw(*shape)
            case.keep(x=x, y=y)
            if name != "masked" or not log:  # -inf times a gradient is no number
                y.backward(dy)
                case.keep(dy=dy, dx=x.grad)
    family.save()


def cross_entropy():
    """`loss` is the mean over the targets that are not ignored; `losses` are per row, 0 where ignored."""
    family = Family("cross_entropy")
    for name, (rows, classes), ignored in (("plain", (6, 10), ()), ("ignored", (9, 62), (0, 4, 8)),
                                           ("one_left", (3, 47), (0, 2)), ("wide", (2, 515), ())):
        case = family.case(name, ignore_index=-1)
        x = (case.draw(rows, classes) * 2).requires_grad_()
        targets = case.integers(0, classes, rows)
        targets[list(ignored)] = -1
        loss = F.cross_entropy(x, targets, ignore_index=-1)
        loss.backward()
        losses = F.cross_entropy(x.detach(), targets, ignore_index=-1, reduction="none")
        case.keep(x=x, targets=targets, losses=losses, loss=loss.reshape(1), dx=x.grad)
    family.save()


def ctc():
    """x holds logits (T, N, K); labels (N, L) are padded with the blank. dx is the gradient of
    sum(loss * dloss). An infeasible sample has loss 0 and gradient 0 where `zero_infinity`, else loss +inf and no
    stored gradient."""
    family = Family("ctc")

    def add(name, steps, classes, labels, lengths=None, blank=0, zero_infinity=False, scale=1.0):
        case = family.case(name, blank=blank, zero_infinity=zero_infinity)
        batch, longest = len(labels), max(1, max(map(len, labels)))
        x = (case.draw(steps, batch, classes) * scale).requires_grad_()
        padded = torch.tensor([list(label) + [blank] * (longest - len(label)) for label in labels])
        input_lengths = torch.tensor(lengths or [steps] * batch)
        label_lengths = torch.tensor([len(label) for label in labels])
        loss = F.ctc_loss(torch.log_softmax(x, 2), padded, input_lengths, label_lengths, blank=blank,
                          reduction="none", zero_infinity=zero_infinity)
        case.keep(x=x, labels=padded, input_lengths=input_lengths, label_lengths=label_lengths, loss=loss)
        if torch.isfinite(loss).all():
            dloss = case.draw(batch).abs() + 0.25
            loss.backward(dloss)
            case.keep(dloss=dloss, dx=x.grad)

    add("mixed", 12, 7, [(1, 2, 3), (4, 4, 4), (), (5,), (6, 5, 6, 6, 1)], lengths=(12, 9, 5, 1, 11))
    add("repeats_exactly_fit", 7, 4, [(1, 1, 1, 1), (2, 2, 3, 3, 1), (1, 2, 3, 1, 2, 3, 1)])
    add("all_empty", 4, 5, [(), ()], lengths=(4, 2))
    add("one_frame", 1, 6, [(3,), (), (5,)])
    add("last_class_blank", 9, 6, [(0, 1, 1), (4, 3), ()], lengths=(9, 6, 8), blank=5)
    add("infeasible_zeroed", 4, 5, [(1, 2), (1, 1, 1), (4, 3, 2, 1), (1, 2, 3, 4)], lengths=(4, 4, 3, 4), zero_infinity=True)
    add("infeasible", 4, 5, [(1, 2), (1, 1, 1), ()])
    add("wide_range", 16, 8, [(1, 2, 2, 7), (3,)], scale=64.0)
    add("crnn", 64, 30, [(3, 1, 20, 20, 5, 29, 4, 11), tuple(range(1, 25))])
    for length in (31, 32, 33, 64):
        add(f"label_{length}", 2 * length, 4, [tuple(1 + i % 3 for i in range(length)), (1,) * (length // 2)])
    for length in (255, 1025):  # beyond one block's worth of label pairs
        add(f"label_{length}", length + 40, 3, [tuple(1 + i % 2 for i in range(length))])
    family.save()


def optimizer():
    """p: parameters after each of three steps (3, n), from p0 with the gradients g (3, n)."""
    family = Family("optimizer")
    cases = {
        "sgd": (torch.optim.SGD, {"lr": 0.125}),
        "sgd_momentum": (torch.optim.SGD, {"lr": 0.125, "momentum": 0.9, "weight_decay": 0.01}),
        "sgd_nesterov": (torch.optim.SGD, {"lr": 0.125, "momentum": 0.9, "nesterov": True}),
        "adam": (torch.optim.Adam, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}),
        "adam_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
        "adamw": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}),
    }
    moments = {"momentum_buffer": "momentum", "exp_avg": "m", "exp_avg_sq": "v"}
    for name, (algorithm, settings) in cases.items():
        case = family.case(name, algorithm=algorithm.__name__.lower(), **settings)
        p = case.draw(131, grad=True)
        g = case.draw(3, 131)
        case.keep(p0=p.clone(), g=g)
        stepper, after = algorithm([p], **settings), []
        for gradient in g:
            p.grad = gradient.clone()
            stepper.step()
            after.append(p.detach().clone())
        case.keep(p=torch.stack(after))
        case.keep(**{moments[key]: value for key, value in stepper.state[p].items() if key in moments and value is not None})
    family.save()


def gradient_norm():
    """Gradients a and b are scaled by min(1, max_norm / (norm + 1e-6)), with norm over both."""
    family = Family("gradient_norm")
    for name, max_norm in (("clipped", 1.0), ("within", 1000.0)):
        case = family.case(name, max_norm=max_norm, epsilon=1e-6)
        a, b = torch.nn.Parameter(case.draw(33)), torch.nn.Parameter(case.draw(7, 5))
        a.grad, b.grad = case.draw(33), case.draw(7, 5)
        case.keep(a=a.grad.clone(), b=b.grad.clone())
        norm = torch.nn.utils.clip_grad_norm_([a, b], max_norm)
        case.keep(norm=norm.reshape(1), a_clipped=a.grad, b_clipped=b.grad)
    family.save()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for make in (conv2d, pool, batch_norm, activation, dense, lstm, softmax, cross_entropy, ctc, optimizer, gradient_norm):
        make()
