"""A recipe's network in PyTorch, built from the same TOML file, with the parameter names that scrawl writes."""

import pathlib
import tomllib

import torch
from torch import nn

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "models" / "recipes"
NETWORKS = sorted(path.stem for path in RECIPES.glob("*.toml"))
ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


class Columns(nn.Module):
    """Image (N, C, H, W) -> sequence (W, N, C * H)."""

    def forward(self, x):
        return x.permute(3, 0, 1, 2).flatten(2)


class Lstm(nn.LSTM):
    def forward(self, x):
        return nn.LSTM.forward(self, x)[0]  # not super(): PyTorch cannot compile that


class Network(nn.Module):
    """Images (N, C, H, W) in 0..1, 1 being ink -> logits: (T, N, K) of a text recipe, (N, K) of a classifier."""

    def __init__(self, recipe, classes):
        super().__init__()
        self.input_shape = tuple(recipe["input"].get(k, d) for k, d in (("channels", 1), ("height", 28), ("width", 28)))
        self.reads_text = recipe["data"].get("labels", "class") == "text"
        numbers = {}
        shape = self.input_shape
        for layer in recipe["network"]["layers"]:
            kind = layer["type"]
            numbers[kind] = numbers.get(kind, 0) + 1
            name = layer.get("name") or ("output" if kind == "classes" else f"{kind}{numbers[kind]}")
            module = self.make(kind, layer, shape, classes)
            self.add_module(name, module)
            shape = self.shape_after(module, shape)

    def make(self, kind, layer, shape, classes):
        if kind == "conv":
            dilation = pair(layer.get("dilation", 1))
            return nn.Conv2d(shape[0], layer["filters"], pair(layer.get("kernel", 3)), pair(layer.get("stride", 1)),
                             layer.get("padding", "valid"), dilation, layer.get("groups", 1), layer.get("bias", True))
        if kind == "batch_norm":
            return nn.BatchNorm2d(shape[0], layer.get("epsilon", 1e-5), layer.get("momentum", 0.1))
        if kind in ACTIVATIONS:
            return ACTIVATIONS[kind]()
        if kind in ("max_pool", "average_pool"):
            window = pair(layer.get("window", 2))
            arguments = window, pair(layer.get("stride", window)), pair(layer.get("padding", 0))
            if kind == "max_pool":
                return nn.MaxPool2d(*arguments)
            return nn.AvgPool2d(*arguments, count_include_pad=False)
        if kind == "dropout":
            return nn.Dropout(layer.get("rate", 0.5))
        if kind == "flatten":
            return nn.Flatten()
        if kind == "columns":
            return Columns()
        if kind in ("dense", "classes"):
            return nn.Linear(shape[-1], layer.get("units", classes))
        if kind == "lstm":
            return Lstm(shape[-1], layer["units"], bidirectional=layer.get("bidirectional", True))
        raise ValueError(f"layer type {kind}: not known")

    @staticmethod
    def shape_after(module, shape):
        if isinstance(module, Lstm):
            return (shape[0], module.hidden_size * (2 if module.bidirectional else 1))
        if isinstance(module, Columns):
            return (shape[2], shape[0] * shape[1])
        if isinstance(module, nn.Linear):
            return shape[:-1] + (module.out_features,)
        with torch.no_grad():
            return tuple(module.eval()(torch.zeros(1, *shape)).shape[1:])

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return x


def make_network(name_or_recipe, classes):
    recipe = name_or_recipe
    if isinstance(recipe, str):
        recipe = tomllib.loads((RECIPES / f"{recipe}.toml").read_text())
    return Network(recipe, classes).train()


def forward_flops(model, x):
    """FLOPs of convolutions, dense layers and LSTMs of model(x), multiply and add counted apart, layer by layer."""
    flops = []

    def count(module, inputs, output):
        if isinstance(module, nn.Conv2d):
            flops.append(2 * output.numel() * module.weight[0].numel())
        elif isinstance(module, nn.Linear):
            flops.append(2 * output.numel() * module.in_features)
        elif isinstance(module, nn.LSTM):
            weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
            flops.append(2 * weights * inputs[0].shape[0] * inputs[0].shape[1])

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return flops
