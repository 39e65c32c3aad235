"""What can be measured, each by a name that is its own repro: `operation[key=value,...,flag,...]`.

    train_step[network=crnn,batch=64,bf16,compile,channels_last]   inference[network=cnn62,batch=1,f32,compile]
    conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]         conv2d.backward_data, .backward_weight
    lstm.forward[T=64,N=64,I=512,H=256,D=2,f16]                    lstm.forward_backward
    ctc.gradient[T=64,N=64,K=30,L=24,ctc=native]                   log-softmax + loss + gradient
    softmax.forward[rows=65536,K=62,bf16]                          softmax.backward, log_softmax.*, cross_entropy.gradient
    copy[bytes=1073741824]   gemm[M=8192,N=8192,K=8192,bf16]

Types: f32 (no TF32), tf32, bf16, f16. Flags: compile, channels_last, graph (one CUDA graph), cold (caches flushed
between runs). `ctc=` takes native, cudnn (labels on the host) or cudnn_device (labels on the device, capturable).
"""

import dataclasses
import re
from typing import Callable

import torch
import torch.nn.functional as F

from networks import NETWORKS, forward_flops, make_network

TYPES = {"f32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
FLAGS = ("compile", "channels_last", "graph", "cold")


@dataclasses.dataclass
class Case:
    run: Callable[[], object]
    flops: float = 0.0
    bytes: float = 0.0  # the least that must move
    whole_step: bool = False  # the host's time is part of it
    type: str = "f32"
    cold: bool = False


class Parameters:
    """Integers and words of a name by key; `type`, `dtype`, `device` and the flags as members."""

    def __init__(self, words, device):
        self.device, self.type, self.flags = device, "f32", set()
        self.values, self.used = {}, set()
        for word in filter(None, words.split(",")):
            key, equals, value = word.partition("=")
            if equals:
                self.values[key] = int(value) if value.lstrip("-").isdigit() else value
            elif word in TYPES:
                self.type = word
            elif word in FLAGS:
                self.flags.add(word)
            else:
                raise ValueError(f"{word}: expected key=value, a type of {list(TYPES)} or a flag of {list(FLAGS)}")
        self.dtype = TYPES[self.type]

    def __getitem__(self, key):
        if key not in self.values:
            raise ValueError(f"expected {key}=..., got only {self.values}")
        return self.get(key)

    def get(self, key, default=None):
        self.used.add(key)
        return self.values.get(key, default)

    def check_all_used(self):
        if unknown := self.values.keys() - self.used:
            raise ValueError(f"unknown parameters: {sorted(unknown)}; known here: {sorted(self.used)}")

    def random(self, *shape):
        return torch.randn(*shape, device=self.device, dtype=self.dtype)


def build(name, device):
    """The case of a name. Throws ValueError for a name that means nothing, RuntimeError where the device refuses."""
    match = re.fullmatch(r"([\w.]+)\[(.*)\]", name)
    if not match or match[1] not in BUILDERS:
        raise ValueError(f"{name}: expected one of {list(BUILDERS)} with [parameters]")
    p = Parameters(match[2], device)
    torch.manual_seed(1)
    tf32 = p.type != "f32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    case = BUILDERS[match[1]](p)
    p.check_all_used()
    case.type, case.cold = p.type, "cold" in p.flags
    if "graph" in p.flags:
        case.run = captured(case.run)
    return case


def captured(run):
    """run() as one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def make_labels(batch, longest, classes, kind, device):
    """Random labels of 1..longest characters in the form that makes PyTorch take the CTC of that kind."""
    lengths = torch.randint(1, longest + 1, (batch,))
    labels = torch.randint(1, classes, (batch, longest))
    if kind == "native":
        return labels.to(device), lengths
    flat = labels[torch.arange(longest) < lengths[:, None]].int()
    return (flat, lengths.int()) if kind == "cudnn" else (flat.to(device), lengths.int().to(device))


class CtcLoss:
    """Mean CTC loss of logits (T, N, K), blank 0, every frame valid."""

    def __init__(self, steps, batch, classes, longest, kind, device):
        if kind not in ("native", "cudnn", "cudnn_device"):
            raise ValueError(f"ctc={kind}: expected native, cudnn or cudnn_device")
        self.kind = kind
        self.labels, self.label_lengths = make_labels(batch, longest, classes, kind, device)
        self.input_lengths = torch.full_like(self.label_lengths, steps)
        if kind != "native":
            logits = torch.zeros(steps, batch, classes, device=device)
            if not torch._use_cudnn_ctc_loss(logits, self.labels, self.input_lengths, self.label_lengths, 0):
                raise RuntimeError(f"PyTorch takes its native CTC in place of ctc={kind}")

    def __call__(self, logits):
        return F.ctc_loss(logits.float().log_softmax(2), self.labels, self.input_lengths, self.label_lengths)


def compiled(model, **options):
    """Compiled for its one shape. The limit of recompilations counts all models of a process: beyond it PyTorch would
    fall back to eager in silence."""
    torch._dynamo.config.recompile_limit = 1024
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return torch.compile(model, dynamic=False, **options)


CLASSES = {"mnist": 10, "emnist": 47, "cnn62": 62}  # of the networks that read no text


def make_model(p):
    if p["network"] not in NETWORKS:
        raise ValueError(f"network {p['network']}: expected one of {NETWORKS}")
    model = make_network(p["network"], p.get("classes", CLASSES.get(p["network"], 30))).to(p.device)
    x = torch.rand(p["batch"], *model.input_shape, device=p.device)
    if "channels_last" in p.flags:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    return model, x, forward_flops(model, x)


def make_loss(p, output):
    if output.dim() == 3:  # (T, N, K)
        default = "cudnn_device" if "graph" in p.flags else "native"
        return CtcLoss(*output.shape, p.get("L", 3 * output.shape[0] // 8), p.get("ctc", default), p.device)
    targets = torch.randint(0, output.shape[1], output.shape[:1], device=p.device)
    return lambda logits: F.cross_entropy(logits.float(), targets)


def train_step(p):
    model, x, flops = make_model(p)
    loss_of = make_loss(p, model(x).detach())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True, capturable="graph" in p.flags)
    scaler = torch.amp.GradScaler(torch.device(p.device).type, enabled=p.type == "f16")
    forward = compiled(model) if "compile" in p.flags else model
    kind = torch.device(p.device).type

    def run():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(kind, p.dtype, enabled=p.dtype != torch.float32):
            logits = forward(x)
        scaler.scale(loss_of(logits)).backward()
        scaler.step(optimizer)
        scaler.update()

    return Case(run, flops=3 * sum(flops) - flops[0], whole_step=True)


def inference(p):
    model, x, flops = make_model(p)
    model, x = model.to(p.dtype).eval(), x.to(p.dtype)
    if "compile" in p.flags:
        model = compiled(model, options={"freezing": True} if torch.device(p.device).type == "cpu" else None)

    @torch.no_grad()
    def run():
        return model(x)

    return Case(run, flops=sum(flops), whole_step=True)


def conv2d(p, which):
    x = p.random(p["N"], p["C"], p["H"], p["W"]).to(memory_format=torch.channels_last)
    w = p.random(p["K"], p["C"], p["R"], p["R"]).to(memory_format=torch.channels_last)
    padding = [p.get("P", 0)] * 2
    y = F.conv2d(x, w, padding=padding)
    dy = torch.randn_like(y)
    flops = 2 * y.numel() * w[0].numel()
    mask = [which == "backward_data", which == "backward_weight", False]

    def forward():
        return F.conv2d(x, w, padding=padding)

    def backward():
        return torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], padding, [1, 1], False, [0, 0], 1, mask)

    return Case(forward if which == "forward" else backward, flops, x.nbytes + w.nbytes + y.nbytes)


def lstm(p, which):
    module = torch.nn.LSTM(p["I"], p["H"], bidirectional=p["D"] == 2).to(p.device, p.dtype)
    x = p.random(p["T"], p["N"], p["I"]).requires_grad_(which != "forward")
    (flops,) = forward_flops(module, x)
    if which == "forward":
        return Case(torch.no_grad()(lambda: module(x)), flops)
    dy = p.random(p["T"], p["N"], p["D"] * p["H"])
    inputs = [x, *module.parameters()]
    return Case(lambda: torch.autograd.grad(module(x)[0], inputs, dy), 3 * flops)


def ctc(p):
    x = p.random(p["T"], p["N"], p["K"]).requires_grad_()
    loss_of = CtcLoss(p["T"], p["N"], p["K"], p["L"], p.get("ctc", "native"), p.device)
    return Case(lambda: torch.autograd.grad(loss_of(x), x), bytes=2 * x.nbytes)


def softmax(p, function, which):
    x = p.random(p["rows"], p["K"])
    y, dy = function(x, 1), p.random(p["rows"], p["K"])
    if which == "forward":
        return Case(lambda: function(x, 1), bytes=2 * x.nbytes)
    backward = torch._softmax_backward_data if function is torch.softmax else torch._log_softmax_backward_data
    return Case(lambda: backward(dy, y, 1, p.dtype), bytes=3 * x.nbytes)


def cross_entropy(p):
    x = p.random(p["rows"], p["K"]).requires_grad_()
    targets = torch.randint(0, p["K"], (p["rows"],), device=p.device)
    return Case(lambda: torch.autograd.grad(F.cross_entropy(x, targets), x), bytes=2 * x.nbytes)


def gemm(p):
    a, b = p.random(p["M"], p["K"]), p.random(p["K"], p["N"])
    return Case(lambda: a @ b, 2 * p["M"] * p["N"] * p["K"], a.nbytes + b.nbytes + p["M"] * p["N"] * a.itemsize)


def copy(p):
    x = torch.randint(0, 256, (p["bytes"],), device=p.device, dtype=torch.uint8)
    y = torch.empty_like(x)
    return Case(lambda: y.copy_(x), bytes=2 * x.nbytes)


BUILDERS = {
    "train_step": train_step,
    "inference": inference,
    "conv2d.forward": lambda p: conv2d(p, "forward"),
    "conv2d.backward_data": lambda p: conv2d(p, "backward_data"),
    "conv2d.backward_weight": lambda p: conv2d(p, "backward_weight"),
    "lstm.forward": lambda p: lstm(p, "forward"),
    "lstm.forward_backward": lambda p: lstm(p, "forward_backward"),
    "ctc.gradient": ctc,
    "softmax.forward": lambda p: softmax(p, torch.softmax, "forward"),
    "softmax.backward": lambda p: softmax(p, torch.softmax, "backward"),
    "log_softmax.forward": lambda p: softmax(p, torch.log_softmax, "forward"),
    "log_softmax.backward": lambda p: softmax(p, torch.log_softmax, "backward"),
    "cross_entropy.gradient": cross_entropy,
    "gemm": gemm,
    "copy": copy,
}
