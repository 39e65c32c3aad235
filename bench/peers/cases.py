"""What can be measured, each by a name that is its own repro: `operation[key=value,...,flag,...]`.

    train_step[network=crnn,batch=64,bf16,compile,channels_last]   inference[network=cnn62,batch=1,f32,compile]
    conv2d.forward[N=64,C=32,H=32,W=128,K=64,R=3,P=1,bf16]         and whatever else `scrawl bench --list` names
    lstm.forward_backward[T=64,N=64,I=512,H=256,D=2,f16]
    ctc.gradient[T=64,N=64,K=30,L=24,ctc=native]                   log-softmax + loss + gradient
    copy[bytes=1073741824]   gemm[M=8192,N=8192,K=8192,bf16]

Types: f32 (no TF32), tf32, bf16, f16. Flags: compile, channels_last, graph (one CUDA graph), cold (caches flushed
between runs). `ctc=` takes native, cudnn (labels on the host) or cudnn_device (labels on the device, capturable).
"""

import dataclasses
import functools
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
    loss: float | None = None  # of a network with given weights on a given batch
    type: str = "f32"
    cold: bool = False


class Parameters:
    """Integers and words of a name by key; `type`, `dtype`, `device` and the flags as members."""

    def __init__(self, words, device, like=None):
        self.device, self.like, self.type, self.flags = device, like, "f32", set()
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


def build(name, device, like=None):
    """The case of a name; a network has the weights and the batch of the file `like`, if there is one. Throws ValueError for a name that means nothing, RuntimeError where the device refuses."""
    match = re.fullmatch(r"([\w.]+)\[(.*)\]", name)
    if not match or match[1] not in BUILDERS:
        raise ValueError(f"{name}: expected one of {list(BUILDERS)} with [parameters]")
    p = Parameters(match[2], device, like)
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
    loss = load_like(p, model, x) if p.like else None
    if "channels_last" in p.flags:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    return model, x, forward_flops(model, x), loss


def load_like(p, model, x):
    """Gives the network and its images those of the file. The mean loss of its samples, without dropout."""
    from safetensors.torch import load_file

    tensors = load_file(p.like, device=p.device)
    batch = {name: tensors.pop(name) for name in list(tensors) if name in ("pixels", "labels", "label_lengths", "targets")}
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"{p.like}: weights missing: {missing}, not of the network: {unexpected}")
    x.copy_(batch["pixels"].permute(0, 3, 1, 2) / 255)  # they lie channels-last
    rates = {module: module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    for module in rates:
        module.p = 0.0
    with torch.no_grad(), torch.autocast(torch.device(p.device).type, p.dtype, enabled=p.dtype != torch.float32):
        logits = model(x).float()
    for module, rate in rates.items():
        module.p = rate
    if "targets" in batch:
        return F.cross_entropy(logits, batch["targets"].long()).item()
    lengths = batch["label_lengths"].long()
    frames = torch.full_like(lengths, logits.shape[0])
    return F.ctc_loss(logits.log_softmax(2), batch["labels"].long(), frames, lengths, reduction="none").mean().item()


def make_loss(p, output):
    if output.dim() == 3:  # (T, N, K)
        default = "cudnn_device" if "graph" in p.flags else "native"
        return CtcLoss(*output.shape, p.get("L", 3 * output.shape[0] // 8), p.get("ctc", default), p.device)
    targets = torch.randint(0, output.shape[1], output.shape[:1], device=p.device)
    return lambda logits: F.cross_entropy(logits.float(), targets)


def train_step(p):
    model, x, flops, loss = make_model(p)
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

    return Case(run, flops=3 * sum(flops) - flops[0], whole_step=True, loss=loss)


def inference(p):
    model, x, flops, loss = make_model(p)
    model, x = model.to(p.dtype).eval(), x.to(p.dtype)
    if "compile" in p.flags:
        model = compiled(model, options={"freezing": True} if torch.device(p.device).type == "cpu" else None)

    @torch.no_grad()
    def run():
        return model(x)

    return Case(run, flops=sum(flops), whole_step=True, loss=loss)


ACTIVATIONS = {"none": lambda y: y, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


def activation_of(p):
    return ACTIVATIONS[p.get("activation", "none")]


def both(p, key, usual):
    """A word for both axes, or one for each."""
    return [p.get(f"{key}_h", p.get(key, usual)), p.get(f"{key}_w", p.get(key, usual))]


class Convolution:
    """Operands channels-last, as ours are."""

    def __init__(self, p):
        groups = p.get("groups", 1)
        self.x = p.random(p["N"], p["C"], p["H"], p["W"]).to(memory_format=torch.channels_last)
        self.w = p.random(p["K"], p["C"] // groups, p["R"], p.get("S", p["R"])).to(memory_format=torch.channels_last)
        self.stride, self.dilation, self.groups = both(p, "stride", 1), both(p, "dilation", 1), groups
        sides = [p.get(side, p.get("P", 0)) for side in ("pad_top", "pad_left", "pad_bottom", "pad_right")]
        if sides[:2] != sides[2:]:
            raise ValueError(f"padding {sides}: PyTorch pads both sides alike")
        self.padding = sides[:2]
        self.b = p.random(p["K"]) if p.get("bias", 0) else None
        self.y = self()
        self.flops = 2 * self.y.numel() * self.w[0].numel()
        self.bytes = self.x.nbytes + self.w.nbytes + self.y.nbytes

    def __call__(self):
        return F.conv2d(self.x, self.w, self.b, self.stride, self.padding, self.dilation, self.groups)


def conv2d(p, which):
    c = Convolution(p)
    if which == "forward":
        activate = activation_of(p)
        return Case(lambda: activate(c()), c.flops, c.bytes)
    dy = torch.randn_like(c.y)
    mask = [which == "backward_data", which == "backward_weight", which == "backward_weight" and c.b is not None]
    bias = None if c.b is None else [c.w.shape[0]]

    def backward():
        return torch.ops.aten.convolution_backward(dy, c.x, c.w, bias, c.stride, c.padding, c.dilation, False, [0, 0], c.groups, mask)

    return Case(backward, c.flops, c.bytes)


def conv2d_pool(p):
    c = Convolution(p)
    window = both(p, "pool", 2)
    c.b = p.random(p["K"])
    return Case(lambda: torch.relu(F.max_pool2d(c(), window, return_indices=True)[0]), c.flops, c.bytes)


def conv2d_moments(p):
    c = Convolution(p)

    def run():
        y = c()
        return y, torch.var_mean(y, (0, 2, 3), correction=0)  # sums are in f32, whatever y is stored in

    return Case(run, c.flops, c.bytes)


class Images:
    """What is normalised or pooled."""

    def __init__(self, p):
        self.x = p.random(p["N"], p["C"], p["H"], p["W"]).to(memory_format=torch.channels_last)
        self.gamma, self.beta, self.mean = (torch.randn(p["C"], device=p.device) for _ in range(3))
        self.variance = torch.rand(p["C"], device=p.device) + 0.5

    def normalised(self, x):
        return F.batch_norm(x, None, None, self.gamma, self.beta, training=True)


class Window:
    def __init__(self, p):
        self.size = [p["R"], p.get("S", p["R"])]
        self.stride = [p.get("stride_h", self.size[0]), p.get("stride_w", self.size[1])]
        self.padding = [p.get("pad_h", 0), p.get("pad_w", 0)]
        self.is_average = p.get("kind", "max") == "average"

    def __call__(self, x):
        if self.is_average:
            return F.avg_pool2d(x, self.size, self.stride, self.padding, count_include_pad=False)
        return F.max_pool2d(x, self.size, self.stride, self.padding)


def differentiated(function, x, *parameters):
    """The backward alone, of a forward that has run: gradients of x and of the parameters."""
    x = x.detach().requires_grad_()
    inputs = [x, *(parameter.requires_grad_() for parameter in parameters)]
    y = function(x)
    dy = torch.randn_like(y)
    return Case(lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True))


def pool(p, which):
    x, window = Images(p).x, Window(p)
    return Case(lambda: window(x)) if which == "forward" else differentiated(window, x)


def batch_norm(p, which):
    i, activate = Images(p), activation_of(p)
    if which == "forward":
        return Case(lambda: activate(i.normalised(i.x)))
    return differentiated(lambda x: activate(i.normalised(x)), i.x, i.gamma, i.beta)


def batch_norm_pool(p, which):
    i, window = Images(p), Window(p)

    def apply(x):
        return window(torch.relu(F.batch_norm(x, i.mean, i.variance, i.gamma, i.beta, training=False)))

    def forward(x):
        return window(torch.relu(i.normalised(x)))

    if which == "backward":
        return differentiated(forward, i.x, i.gamma, i.beta)
    return Case(lambda: (forward if which == "forward" else apply)(i.x))


def dense(p, which):
    rows, inputs, outputs = p["rows"], p["I"], p["O"]
    x, w, dy = p.random(rows, inputs), p.random(outputs, inputs), p.random(rows, outputs)
    b, activate = p.random(outputs) if p.get("bias", 1) else None, activation_of(p)
    run = {
        "forward": lambda: activate(F.linear(x, w, b)),
        "backward_data": lambda: dy @ w,
        "backward_weight": lambda: (dy.t() @ x, None if b is None else dy.sum(0)),
    }[which]
    return Case(run, 2 * rows * inputs * outputs, x.nbytes + w.nbytes + dy.nbytes)


def lstm(p, which):
    module = torch.nn.LSTM(p["I"], p["H"], bidirectional=p.get("D", 1) == 2).to(p.device, p.dtype)
    x = p.random(p["T"], p["N"], p["I"]).requires_grad_(which != "forward")
    (flops,) = forward_flops(module, x)
    if which == "forward":
        return Case(torch.no_grad()(lambda: module(x)), flops)
    dy = p.random(p["T"], p["N"], p.get("D", 1) * p["H"])
    inputs = [x, *module.parameters()]
    if which == "backward":  # a retained graph copies what cuDNN has saved at each run: that is in its time
        y = module(x)[0]
        return Case(lambda: torch.autograd.grad(y, inputs, dy, retain_graph=True), 2 * flops)
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
    a, b = (x.t().contiguous().t() if p.get(key, 0) else x for key, x in (("transpose_a", a), ("transpose_b", b)))
    return Case(lambda: a @ b, 2 * p["M"] * p["N"] * p["K"], a.nbytes + b.nbytes + p["M"] * p["N"] * a.itemsize)


def copy(p):
    if "bytes" in p.values:
        x = torch.randint(0, 256, (p["bytes"],), device=p.device, dtype=torch.uint8)
        y = torch.empty_like(x)
    else:
        y = p.random(p["elements"])
        x = (255 * torch.rand(p["elements"], device=p.device)).to(COPIED.get(p.get("from", p.type), y.dtype))
    return Case(lambda: y.copy_(x), bytes=x.nbytes + y.nbytes)


COPIED = {"u8": torch.uint8, **TYPES}


def activation(p, which):
    x = p.random(p["elements"])
    function = ACTIVATIONS[p.get("kind", "relu")]
    return Case(lambda: function(x)) if which == "forward" else differentiated(function, x)


def scale_rows(p):
    x, scale = torch.randn(p["rows"], p["K"], device=p.device), torch.randn(p["rows"], 1, device=p.device)
    return Case(lambda: (x * scale).to(p.dtype))


def add(p):
    a, b = p.random(p["elements"]), p.random(p["elements"])
    return Case(lambda: a + b)


def dropout(p):
    if "C" in p.values:
        x = p.random(p["N"], p["C"], p["H"], p["W"]).to(memory_format=torch.channels_last)
    else:
        x = p.random(p.get("T", 1), p["N"], p["K"])
    return Case(lambda: F.dropout(x, 0.3))


def permuted(p, order):
    """Images channels-last on one side, what is plain on the other."""
    n, c, h, w = p["N"], p["C"], p["H"], p["W"]
    image = p.random(n, c, h, w).to(memory_format=torch.channels_last)
    sequence, rows = p.random(w, n, c * h), p.random(n, c * h * w)
    run = {
        "to_sequence": lambda: image.permute(3, 0, 1, 2).reshape(w, n, c * h).contiguous(),
        "to_image": lambda: sequence.view(w, n, c, h).permute(1, 2, 3, 0).contiguous(memory_format=torch.channels_last),
        "flatten": lambda: image.flatten(1).contiguous(),
        "unflatten": lambda: rows.view(n, c, h, w).contiguous(memory_format=torch.channels_last),
    }[order]
    return Case(run, bytes=2 * image.nbytes)


def optimizer(p, kind):
    w = torch.nn.Parameter(torch.randn(p["parameters"], device=p.device))
    w.grad = torch.randn_like(w)
    step = {
        "sgd": lambda: torch.optim.SGD([w], 1e-3, momentum=0.9, fused=True),
        "adam": lambda: torch.optim.Adam([w], 1e-3, fused=True),
        "adamw": lambda: torch.optim.AdamW([w], 1e-3, fused=True),
    }[kind]()
    return Case(step.step)


def gradient_norm(p):
    g = [torch.randn(p["parameters"], device=p.device)]
    return Case(lambda: torch.nn.utils.get_total_norm(g))


BUILDERS = {
    "train_step": train_step,
    "inference": inference,
    **{f"conv2d.{which}": functools.partial(conv2d, which=which) for which in ("forward", "backward_data", "backward_weight")},
    "conv2d_pool.forward": conv2d_pool,
    "conv2d_moments.forward": conv2d_moments,
    **{f"pool.{which}": functools.partial(pool, which=which) for which in ("forward", "backward")},
    **{f"batch_norm.{which}": functools.partial(batch_norm, which=which) for which in ("forward", "backward")},
    **{f"batch_norm_pool.{which}": functools.partial(batch_norm_pool, which=which) for which in ("forward", "apply", "backward")},
    **{f"dense.{which}": functools.partial(dense, which=which) for which in ("forward", "backward_data", "backward_weight")},
    **{f"lstm.{which}": functools.partial(lstm, which=which) for which in ("forward", "backward", "forward_backward")},
    "ctc.gradient": ctc,
    "softmax.forward": lambda p: softmax(p, torch.softmax, "forward"),
    "softmax.backward": lambda p: softmax(p, torch.softmax, "backward"),
    "log_softmax.forward": lambda p: softmax(p, torch.log_softmax, "forward"),
    "log_softmax.backward": lambda p: softmax(p, torch.log_softmax, "backward"),
    "cross_entropy.gradient": cross_entropy,
    "gemm": gemm,
    "copy": copy,
    "add": add,
    "scale_rows": scale_rows,
    "dropout": dropout,
    **{f"activation.{which}": functools.partial(activation, which=which) for which in ("forward", "backward")},
    **{order: functools.partial(permuted, order=order) for order in ("to_sequence", "to_image", "flatten", "unflatten")},
    **{kind: functools.partial(optimizer, kind=kind) for kind in ("sgd", "adam", "adamw")},
    "gradient_norm": gradient_norm,
}
