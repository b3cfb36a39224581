# SPDX-License-Identifier: MIT
"""YOLOv5's graphs and losses in PyTorch, to measure ydistill against on the same work.

Both releases (v5.0: Focus, SPP; v6: 6x6 stem, SPPF) in five sizes, under the original's parameter
names. The losses are vectorised with shapes that do not depend on values, so a step never waits for
the device and torch.compile sees one graph. check_torch.py compares everything here with the
recorded reference.

Heads are [N, H, W, A, 5 + classes], a view of the channels_last output of the last convolution.
"""
import json
import math
import os
import struct

import torch
import torch.nn.functional as F
from torch import nn

SIZES = {"n": (0.33, 0.25), "s": (0.33, 0.50), "m": (0.67, 0.75), "l": (1.0, 1.0), "x": (1.33, 1.25)}
STRIDES = (8, 16, 32)
ANCHORS_PX = ((10, 13, 16, 30, 33, 23), (30, 61, 62, 45, 59, 119), (116, 90, 156, 198, 373, 326))

# (from, repeats, kind, arguments); channels and repeats before scaling.
BACKBONE_V5 = [(-1, 1, "Focus", (64, 3)), (-1, 1, "Conv", (128, 3, 2)), (-1, 3, "C3", (128, True)),
               (-1, 1, "Conv", (256, 3, 2)), (-1, 9, "C3", (256, True)), (-1, 1, "Conv", (512, 3, 2)),
               (-1, 9, "C3", (512, True)), (-1, 1, "Conv", (1024, 3, 2)),
               (-1, 1, "SPP", (1024, (5, 9, 13))), (-1, 3, "C3", (1024, False))]
BACKBONE_V6 = [(-1, 1, "Conv", (64, 6, 2, 2)), (-1, 1, "Conv", (128, 3, 2)), (-1, 3, "C3", (128, True)),
               (-1, 1, "Conv", (256, 3, 2)), (-1, 6, "C3", (256, True)), (-1, 1, "Conv", (512, 3, 2)),
               (-1, 9, "C3", (512, True)), (-1, 1, "Conv", (1024, 3, 2)),
               (-1, 3, "C3", (1024, True)), (-1, 1, "SPPF", (1024, 5))]
HEAD = [(-1, 1, "Conv", (512, 1, 1)), (-1, 1, "Upsample", ()), ((-1, 6), 1, "Concat", ()),
        (-1, 3, "C3", (512, False)), (-1, 1, "Conv", (256, 1, 1)), (-1, 1, "Upsample", ()),
        ((-1, 4), 1, "Concat", ()), (-1, 3, "C3", (256, False)), (-1, 1, "Conv", (256, 3, 2)),
        ((-1, 14), 1, "Concat", ()), (-1, 3, "C3", (512, False)), (-1, 1, "Conv", (512, 3, 2)),
        ((-1, 10), 1, "Concat", ()), (-1, 3, "C3", (1024, False)), ((17, 20, 23), 1, "Detect", ())]


class Conv(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(self, c_in, c_out, kernel=1, stride=1, padding=None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))

    @torch.no_grad()
    def fold(self):
        """Moves the running statistics into the convolution."""
        scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        self.conv.weight.mul_(scale[:, None, None, None])
        self.conv.bias = nn.Parameter(self.bn.bias - self.bn.running_mean * scale)
        self.bn = nn.Identity()


class Focus(nn.Module):
    """Moves each 2x2 block of pixels into channels, then a convolution."""

    def __init__(self, c_in, c_out, kernel):
        super().__init__()
        self.conv = Conv(4 * c_in, c_out, kernel)

    def forward(self, x):
        return self.conv(torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2],
                                    x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1))


class Bottleneck(nn.Module):
    def __init__(self, channels, shortcut):
        super().__init__()
        self.cv1 = Conv(channels, channels, 1)
        self.cv2 = Conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x):
        y = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    def __init__(self, c_in, c_out, repeats, shortcut):
        super().__init__()
        hidden = c_out // 2
        self.cv1 = Conv(c_in, hidden)
        self.cv2 = Conv(c_in, hidden)
        self.cv3 = Conv(2 * hidden, c_out)
        self.m = nn.Sequential(*(Bottleneck(hidden, shortcut) for _ in range(repeats)))

    def forward(self, x):
        return self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))


class SPP(nn.Module):
    def __init__(self, c_in, c_out, kernels):
        super().__init__()
        self.cv1 = Conv(c_in, c_in // 2)
        self.cv2 = Conv(c_in // 2 * (len(kernels) + 1), c_out)
        self.m = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in kernels)

    def forward(self, x):
        x = self.cv1(x)
        return self.cv2(torch.cat([x] + [pool(x) for pool in self.m], 1))


class SPPF(nn.Module):
    def __init__(self, c_in, c_out, kernel):
        super().__init__()
        self.cv1 = Conv(c_in, c_in // 2)
        self.cv2 = Conv(c_in // 2 * 4, c_out)
        self.m = nn.MaxPool2d(kernel, 1, kernel // 2)

    def forward(self, x):
        x = self.cv1(x)
        y = self.m(x)
        z = self.m(y)
        return self.cv2(torch.cat([x, y, z, self.m(z)], 1))


class Concat(nn.Module):
    def forward(self, xs):
        return torch.cat(xs, 1)


class Detect(nn.Module):
    def __init__(self, channels, num_classes):
        super().__init__()
        self.per_cell = 5 + num_classes
        anchors = torch.tensor(ANCHORS_PX, dtype=torch.float32).view(3, 3, 2)
        self.register_buffer("anchors", anchors / torch.tensor(STRIDES).view(3, 1, 1))
        self.m = nn.ModuleList(nn.Conv2d(c, 3 * self.per_cell, 1) for c in channels)

    def forward(self, xs):
        heads = []
        for conv, x in zip(self.m, xs):
            y = conv(x).permute(0, 2, 3, 1)
            heads.append(y.reshape(y.shape[0], y.shape[1], y.shape[2], 3, self.per_cell))
        return heads


class YoloV5(nn.Module):
    """A network by name: yolov5n, -s, -m, -l, -x (v6), or yolov5s-v5 and so on (v5.0)."""

    def __init__(self, graph, num_classes):
        super().__init__()
        backbone = BACKBONE_V5 if graph.endswith("-v5") else BACKBONE_V6
        letter = graph.removesuffix("-v5").removeprefix("yolov5")
        if letter not in SIZES or not graph.startswith("yolov5"):
            raise ValueError(f"no graph {graph!r}; there are yolov5n, s, m, l, x, and with -v5 behind")
        depth, width = SIZES[letter]
        self.graph, self.num_classes = graph, num_classes
        self.sources, modules, channels = [], [], []
        for source, repeats, kind, args in backbone + HEAD:
            c_in = 3 if not channels else channels[source] if isinstance(source, int) else None
            if args:
                c_out = math.ceil(args[0] * width / 8) * 8
                args = args[1:]
            repeats = max(round(repeats * depth), 1) if repeats > 1 else 1
            if kind == "C3":
                module = C3(c_in, c_out, repeats, *args)
            elif kind in ("Conv", "Focus", "SPP", "SPPF"):
                module = {"Conv": Conv, "Focus": Focus, "SPP": SPP, "SPPF": SPPF}[kind](c_in, c_out, *args)
            elif kind == "Upsample":
                module, c_out = nn.Upsample(scale_factor=2, mode="nearest"), c_in
            elif kind == "Concat":
                module, c_out = Concat(), sum(channels[i] for i in source)
            else:
                module, c_out = Detect([channels[i] for i in source], num_classes), 0
            self.sources.append(source)
            modules.append(module)
            channels.append(c_out)
        self.model = nn.ModuleList(modules)
        self.kept = {i for s in self.sources for i in ((s,) if isinstance(s, int) else s) if i >= 0}
        self.set_prior()

    @torch.no_grad()
    def set_prior(self):
        """Biases of the head: eight objects per 640 px picture, classes equally likely."""
        for conv, stride in zip(self.model[-1].m, STRIDES):
            bias = conv.bias.view(3, -1)
            bias[:, 4] += math.log(8 / (640 / stride) ** 2)
            bias[:, 5:] += math.log(0.6 / (self.num_classes - 0.99))

    def forward(self, x):
        """x [N, 3, H, W], 0 to 1 -> three heads of logits."""
        kept = {}
        for i, (source, module) in enumerate(zip(self.sources, self.model)):
            if not isinstance(source, int):
                x = [x if s == -1 else kept[s] for s in source]
            x = module(x)
            if i in self.kept:
                kept[i] = x
        return x

    def fold(self):
        """Folds every batch norm into its convolution; for evaluation only."""
        for module in self.modules():
            if isinstance(module, Conv):
                module.fold()
        return self

    def load(self, path):
        """Takes the weights of a .safetensors file under the original's names."""
        tensors, _ = read_safetensors(path)
        missing = [k for k in self.load_state_dict(tensors, strict=False).missing_keys
                   if not k.endswith("num_batches_tracked")]
        if missing:
            raise ValueError(f"{path} lacks {missing[0]} and {len(missing) - 1} more of {self.graph}")
        return self


def decode(heads, anchors_px):
    """Logits -> [N, boxes, 5 + classes]: cx cy w h in pixels, then scores; float32."""
    rows = []
    for head, anchors, stride in zip(heads, anchors_px, STRIDES):
        y = head.float().sigmoid()
        height, width = y.shape[1:3]
        cells = torch.stack([torch.arange(width, device=y.device).expand(height, width),
                             torch.arange(height, device=y.device)[:, None].expand(height, width)], -1)
        xy = (y[..., :2] * 2 - 0.5 + cells[None, :, :, None]) * stride
        wh = (y[..., 2:4] * 2) ** 2 * anchors
        rows.append(torch.cat([xy, wh, y[..., 4:]], -1).flatten(1, 3))
    return torch.cat(rows, 1)


class Boxes(nn.Module):
    """uint8 pictures [N, 3, H, W] -> decoded boxes; the network runs in `dtype`."""

    def __init__(self, network, dtype=torch.float32):
        super().__init__()
        self.network, self.dtype = network, dtype
        self.register_buffer("anchors_px", torch.tensor(ANCHORS_PX, dtype=torch.float32).view(3, 3, 2))

    def forward(self, pictures):
        return decode(self.network(pictures.to(self.dtype) / 255), self.anchors_px)


def read_pictures(path, batch, size):
    """Raw RGB bytes [N, H, W, 3] as uint8 [N, 3, H, W], in memory as they were."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    if len(data) != batch * size * size * 3:
        raise ValueError(f"{path}: expected {batch} pictures of {size}x{size}, found {len(data)} bytes")
    return torch.frombuffer(data, dtype=torch.uint8).view(batch, size, size, 3).permute(0, 3, 1, 2)


def resident_mib():
    """Resident memory of this process; None if the system does not report it."""
    try:
        with open("/proc/self/statm") as file:
            return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
    except OSError:
        return None


def ciou(pred, truth):
    """Complete IoU of boxes cx cy w h, [n, 4] each."""
    eps = 1e-7
    p_min, p_max = pred[:, :2] - pred[:, 2:] / 2, pred[:, :2] + pred[:, 2:] / 2
    t_min, t_max = truth[:, :2] - truth[:, 2:] / 2, truth[:, :2] + truth[:, 2:] / 2
    overlap = (torch.minimum(p_max, t_max) - torch.maximum(p_min, t_min)).clamp(0).prod(1)
    p_size, t_size = p_max - p_min, t_max - t_min
    p_w, p_h, t_w, t_h = p_size[:, 0], p_size[:, 1] + eps, t_size[:, 0], t_size[:, 1] + eps
    iou = overlap / (p_w * p_h + t_w * t_h - overlap + eps)
    enclosing = (torch.maximum(p_max, t_max) - torch.minimum(p_min, t_min)).square().sum(1) + eps
    distance = (t_min + t_max - p_min - p_max).square().sum(1) / 4
    v = 4 / math.pi**2 * (torch.atan(t_w / t_h) - torch.atan(p_w / p_h)).square()
    with torch.no_grad():
        alpha = v / (v - iou + (1 + eps))
    return iou - (distance / enclosing + v * alpha)


class DetectionLoss(nn.Module):
    """Box, objectness and class loss with YOLOv5's assignment of targets to cells and anchors.

    Every target is looked at in every anchor and in its own and four neighbouring cells: that many
    rows, whether they match or not, so that no shape depends on a value.
    """

    def __init__(self, anchors_grid, num_classes, gains, anchor_t=4.0, balance=(4.0, 1.0, 0.4)):
        super().__init__()
        self.num_classes, self.gains, self.anchor_t, self.balance = num_classes, gains, anchor_t, balance
        self.register_buffer("anchors", anchors_grid.clone().float())
        self.register_buffer("offsets", 0.5 * torch.tensor([[0, 0], [1, 0], [0, 1], [-1, 0], [0, -1]]))

    def forward(self, heads, targets):
        """targets [n, 6]: picture, class, cx, cy, w, h (0..1) -> (box, obj, cls), gains applied."""
        sums = [0.0, 0.0, 0.0]
        for head, anchors, weight in zip(heads, self.anchors, self.balance):
            box, obj, cls = self.one_head(head, anchors, targets)
            sums = [sums[0] + box, sums[1] + obj * weight, sums[2] + cls]
        return torch.stack([s * self.gains[k] for s, k in zip(sums, ("box", "obj", "cls"))])

    def one_head(self, head, anchors, targets):
        height, width, num_anchors, per_cell = head.shape[1:]
        cells = head.reshape(-1, per_cell)
        objectness = cells[:, 4].float()
        count = targets.shape[0]
        if count == 0:
            zero = cells.sum() * 0
            return zero, F.binary_cross_entropy_with_logits(objectness, torch.zeros_like(objectness)), zero
        # Per column, not with one tensor for both: creating that on the device would wait for it.
        by_size = lambda t: torch.stack((t[:, 0] * width, t[:, 1] * height), 1)
        xy, wh = by_size(targets[:, 2:4]), by_size(targets[:, 4:6])
        ratio = wh[None] / anchors[:, None]
        fits = torch.maximum(ratio, 1 / ratio).amax(2) < self.anchor_t  # [A, T]
        back = torch.stack((width - xy[:, 0], height - xy[:, 1]), 1)
        near_low = ((xy % 1 < 0.5) & (xy > 1)).T      # left, up
        near_high = ((back % 1 < 0.5) & (back > 1)).T  # right, down
        own = torch.ones_like(near_low[:1])
        valid = (torch.cat([own, near_low, near_high])[:, None] & fits[None]).flatten()  # [5 A T]

        cell = (xy[None] - self.offsets[:, None]).long()  # [5, T, 2]; truncated, then into the grid
        cell = torch.stack((cell[..., 0].clamp(0, width - 1), cell[..., 1].clamp(0, height - 1)), -1)
        picture = targets[:, 0].long()
        index = (picture * height + cell[..., 1]) * width + cell[..., 0]  # [5, T]
        index = index[:, None] * num_anchors + torch.arange(num_anchors, device=head.device)[:, None]
        index = index.flatten()
        shape = (5, num_anchors, count, 2)
        truth = torch.cat([(xy - cell)[:, None].expand(shape), wh.expand(shape)], -1).reshape(-1, 4)
        row_anchors = anchors[None, :, None].expand(shape).reshape(-1, 2)

        rows = cells[index].float()
        sides = (rows[:, 2:4].sigmoid() * 2) ** 2 * row_anchors
        overlap = ciou(torch.cat([rows[:, :2].sigmoid() * 2 - 0.5, sides], 1), truth)
        matches = valid.sum().clamp(min=1)
        box = torch.where(valid, 1 - overlap, 0).sum() / matches

        # If several targets share a cell and anchor, the last row wins.
        number = torch.arange(index.numel(), device=head.device)
        winner = torch.full((cells.shape[0] + 1,), -1, device=head.device)
        winner = winner.scatter_reduce(0, torch.where(valid, index, cells.shape[0]), number, "amax")[:-1]
        wanted = torch.where(winner >= 0, overlap.detach().clamp(0)[winner.clamp(0)], 0)
        obj = F.binary_cross_entropy_with_logits(objectness, wanted)
        if self.num_classes == 1:
            return box, obj, box * 0
        classes = F.one_hot(targets[:, 1].long(), self.num_classes).float()
        classes = classes.expand(5, num_anchors, count, -1).reshape(-1, self.num_classes)
        each = F.binary_cross_entropy_with_logits(rows[:, 5:], classes, reduction="none").sum(1)
        cls = torch.where(valid, each, 0).sum() / (matches * self.num_classes)
        return box, obj, cls


class DistillLoss(nn.Module):
    """Squared error of box and objectness logits and l2, kl or bce of the classes, each weighted by
    the teacher's objectness score. For a teacher with the student's anchors."""

    def __init__(self, kind, gains, temperature=20.0):
        super().__init__()
        if kind not in ("l2", "kl", "bce"):
            raise ValueError(f"no distillation loss {kind!r}; there are l2, kl, bce")
        self.kind, self.gains, self.temperature = kind, gains, temperature

    def forward(self, heads, teacher_heads):
        """Heads of both -> (box, obj, cls), gains applied."""
        sums = [0.0, 0.0, 0.0]
        for head, teacher_head in zip(heads, teacher_heads):
            dtype = torch.promote_types(head.dtype, torch.float32)
            s, t = head.to(dtype).flatten(0, 3), teacher_head.to(dtype).flatten(0, 3)
            weight = t[:, 4:5].sigmoid()
            if self.kind == "l2":
                mean = ((s - t).square() * weight).mean(0)
                cls = mean[5:].mean()
            else:
                mean = ((s[:, :5] - t[:, :5]).square() * weight).mean(0)
                if self.kind == "kl":
                    heat = self.temperature
                    of_s = F.log_softmax(s[:, 5:] / heat, 1)
                    of_t = F.log_softmax(t[:, 5:] / heat, 1)
                    each = of_t.exp() * (of_t - of_s) * heat**2
                else:
                    each = F.binary_cross_entropy_with_logits(s[:, 5:], t[:, 5:].sigmoid(), reduction="none")
                cls = (each * weight).mean()
            sums = [sums[0] + mean[:4].mean(), sums[1] + mean[4], sums[2] + cls]
        return torch.stack([s * self.gains[k] for s, k in zip(sums, ("box", "obj", "cls"))])


DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8, "BOOL": torch.bool}


def read_safetensors(path):
    """All tensors of a file, and its metadata."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = bytearray(file.read())
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if begin == end:
            tensors[name] = torch.empty(entry["shape"], dtype=DTYPES[entry["dtype"]])
        else:
            data = torch.frombuffer(body[begin:end], dtype=DTYPES[entry["dtype"]])
            tensors[name] = data.reshape(entry["shape"])
    return tensors, metadata


def write_safetensors(path, tensors, metadata=None):
    """Tensors by name, and texts by name."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, at = {"__metadata__": metadata} if metadata else {}, 0
    for name, tensor in tensors.items():
        end = at + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.contiguous().numpy().tobytes())
