"""The recipes' networks in PyTorch: the same layers, initialised as PyTorch does."""

import torch
from torch import nn


def convolution_stage(inputs, outputs, window, dropout):
    """conv 3x3 same, batch norm, ReLU, pool, dropout."""
    layers = [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(window)]
    return layers + ([nn.Dropout(dropout)] if dropout else [])


class Crnn(nn.Module):
    """Gray image -> logits (T, N, K), T = width / 4. Blank is class 0."""

    def __init__(self, height, channels, features, hidden, layers, classes):
        super().__init__()
        a, b, c = channels
        self.convolutions = nn.Sequential(*convolution_stage(1, a, 2, 0.0), *convolution_stage(a, b, 2, 0.3),
                                          *convolution_stage(b, c, (2, 1), 0.3))
        self.dense = nn.Linear(c * height // 8, features)
        self.lstm = nn.LSTM(features, hidden, layers, bidirectional=True)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, x):  # (N, 1, H, W)
        x = self.convolutions(x)  # (N, C, H / 8, W / 4)
        x = x.permute(3, 0, 1, 2).flatten(2)  # (T, N, C * H / 8)
        x = torch.relu(self.dense(x))  # (T, N, features)
        x, _ = self.lstm(x)  # (T, N, 2 * hidden)
        return self.head(x)  # (T, N, K)


def cnn62(classes):
    def stage(inputs, outputs, side):
        return [nn.Conv2d(inputs, outputs, side), nn.ReLU(), nn.MaxPool2d(2)]

    widths = [256 * 6 * 6, 512, 1024, 512, 256]
    hidden = [layer for i, o in zip(widths, widths[1:]) for layer in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*stage(3, 512, 5), *stage(512, 256, 3), *stage(256, 256, 3), nn.Flatten(), *hidden,
                         nn.Linear(256, classes))


def digit_cnn(channels, features, classes):
    a, b = channels
    return nn.Sequential(*convolution_stage(1, a, 2, 0.0), *convolution_stage(a, b, 2, 0.3), nn.Flatten(),
                         nn.Linear(b * 7 * 7, features), nn.ReLU(), nn.Dropout(0.3), nn.Linear(features, classes))


# name: (C, H, W of an image, classes, constructor)
NETWORKS = {
    "crnn": ((1, 64, 256), 30, lambda k: Crnn(64, (32, 64, 128), 64, 256, 2, k)),
    "crnn-small": ((1, 32, 128), 30, lambda k: Crnn(32, (16, 32, 64), 64, 64, 1, k)),
    "cnn62": ((3, 64, 64), 62, cnn62),
    "mnist": ((1, 28, 28), 10, lambda k: digit_cnn((32, 64), 128, k)),
    "emnist": ((1, 28, 28), 47, lambda k: digit_cnn((64, 128), 256, k)),
}


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
