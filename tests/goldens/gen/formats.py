"""Writes formats/ beside this folder: what diffusers makes of single files and of LoRAs.

    python tests/goldens/gen/formats.py

Made with diffusers 0.42.1, PEFT 0.21.2 and PyTorch 2.15, on the CPU. `single_file_keys.json` holds
every tensor name of Stable Diffusion 1.5 in a single file, and the name and shape that diffusers
gives it, and `control_net_keys.json` the same for a ControlNet of its authors; nothing is allocated
for them. The LoRAs are for a UNet of two levels and one layer of
attention, random; `merged.safetensors` has what diffusers has in the place of each changed weight
after loading the LoRA and fusing it.
"""

import json
import pathlib
import sys
import types

import numpy
import torch
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_controlnet_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent.parent
OUT = HERE / "formats"
MANIFESTS = HERE.parent / "manifests"


def ldm_unet_names(count_in=12, layers=2):
    """The names of the UNet in a single file, as its own constructor would make them."""
    names = {}
    resnet = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    for name in ["time_embed.0", "time_embed.2", "input_blocks.0.0", "out.0", "out.2"]:
        names[name] = True
    inner = [f"attn{a}.to_{p}" for a in (1, 2) for p in ("q", "k", "v")]
    attention = ["norm", "proj_in", "proj_out"] + [
        f"transformer_blocks.0.{n}"
        for n in inner
        + ["attn1.to_out.0", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2"]
        + ["norm1", "norm2", "norm3"]
    ]

    def block(prefix, attends, skips, tail=None):
        rest = [f"0.{n}" for n in resnet + (["skip_connection"] if skips else [])]
        rest += [f"1.{n}" for n in attention] if attends else []
        rest += [tail] if tail else []
        for n in rest:
            names[f"{prefix}.{n}"] = not any(n.endswith(f"to_{p}") for p in "qkv")

    channels = [1, 2, 4, 4]
    previous = 1
    for i in range(1, count_in):
        level, layer = divmod(i - 1, layers + 1)
        if layer == layers:
            names[f"input_blocks.{i}.0.op"] = True
            continue
        block(f"input_blocks.{i}", level < 3, previous != channels[level])
        previous = channels[level]
    for n in resnet:
        names[f"middle_block.0.{n}"] = names[f"middle_block.2.{n}"] = True
    for n in attention:
        names[f"middle_block.1.{n}"] = not any(n.endswith(f"to_{p}") for p in "qkv")
    for i in range(count_in):
        level, layer = divmod(i, layers + 1)
        tail = f"{2 if level else 1}.conv" if layer == layers and level < 3 else None
        block(f"output_blocks.{i}", level > 0, True, tail)
    return [f"{n}.{end}" for n, biased in names.items() for end in ("weight", "bias")[: 1 + biased]]


def ldm_vae_names(levels=4, layers=2):
    """The names of the autoencoder in a single file."""
    names = ["quant_conv", "post_quant_conv"]
    resnet = ["norm1", "conv1", "norm2", "conv2"]
    channels = [1, 2, 4, 4]
    for side in ("encoder", "decoder"):
        names += [f"{side}.{n}" for n in ("conv_in", "norm_out", "conv_out")]
        names += [f"{side}.mid.block_{b}.{n}" for b in (1, 2) for n in resnet]
        names += [f"{side}.mid.attn_1.{n}" for n in ("norm", "q", "k", "v", "proj_out")]
    previous = 1
    for level in range(levels):
        for block in range(layers):
            rest = resnet + (["nin_shortcut"] if previous != channels[level] else [])
            names += [f"encoder.down.{level}.block.{block}.{n}" for n in rest]
            previous = channels[level]
        if level < levels - 1:
            names.append(f"encoder.down.{level}.downsample.conv")
    for level in reversed(range(levels)):
        for block in range(layers + 1):
            rest = resnet + (["nin_shortcut"] if previous != channels[level] else [])
            names += [f"decoder.up.{level}.block.{block}.{n}" for n in rest]
            previous = channels[level]
        if level > 0:
            names.append(f"decoder.up.{level}.upsample.conv")
    return [f"{n}.{end}" for n in names for end in ("weight", "bias")]


def converted(names, convert, shapes, is_conv):
    """What diffusers calls each name; a tensor is told from others by its place in a table."""
    state = {}
    for at, name in enumerate(names):
        # Four dimensions only where diffusers cuts them.
        state[name] = torch.full((1, 1, 1, 1) if is_conv(name) else (1,), float(at))
    result = {key: names[int(value.flatten()[0])] for key, value in convert(state).items()}
    assert sorted(result.values()) == sorted(names), "every tensor has a place"
    assert set(result) == set(shapes), set(result) ^ set(shapes)
    return {ldm: [key, list(shapes[key])] for key, ldm in sorted(result.items())}


def single_file():
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
        vae = AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 4,
            up_block_types=["UpDecoderBlock2D"] * 4,
            block_out_channels=[128, 256, 512, 512],
            layers_per_block=2,
        )
    shapes = {name: tensor.shape for name, tensor in unet.state_dict().items()}
    prefix = "model.diffusion_model."
    names = [prefix + name for name in ldm_unet_names()]
    table = converted(
        names, lambda state: convert_ldm_unet_checkpoint(state, unet.config), shapes, lambda _: False
    )
    vae_shapes = {name: tensor.shape for name, tensor in vae.state_dict().items()}
    names = ["first_stage_model." + name for name in ldm_vae_names()]
    vae_table = converted(
        names,
        lambda state: convert_ldm_vae_checkpoint(state, vae.config),
        vae_shapes,
        lambda name: ".attn_1." in name and name.endswith("weight") and ".norm." not in name,
    )
    text = json.loads((MANIFESTS / "clip_text_vit_l14.json").read_text())["state_dict"]
    prefix = "cond_stage_model.transformer."
    text_table = {prefix + name: [name, shape] for name, (shape, _) in text.items()}
    write_tables("single_file_keys.json", {"unet": table, "vae": vae_table, "text_encoder": text_table})


def write_tables(file, tables):
    lines = [
        json.dumps(part) + ": {\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in t.items()) + "\n}"
        for part, t in tables.items()
    ]
    (OUT / file).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def control_net():
    with torch.device("meta"):
        net = ControlNetModel(cross_attention_dim=768)
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    half = ("input_blocks.", "middle_block.", "time_embed.")
    names = [name for name in ldm_unet_names() if name.startswith(half)]
    convolutions = [f"zero_convs.{i}.0" for i in range(12)] + ["middle_block_out.0"]
    convolutions += [f"input_hint_block.{i}" for i in range(0, 16, 2)]
    names += [f"{name}.{end}" for name in convolutions for end in ("weight", "bias")]
    table = converted(
        ["control_model." + name for name in names],
        lambda state: convert_controlnet_checkpoint(state, net.config),
        shapes,
        lambda _: False,
    )
    write_tables("control_net_keys.json", {"controlnet": table})


def tiny_unet():
    torch.manual_seed(0)
    return UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=6,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )


BLOCK = "down_blocks.0.attentions.0"
LINEAR = [
    f"{BLOCK}.transformer_blocks.0.attn1.to_q",
    f"{BLOCK}.transformer_blocks.0.attn2.to_k",
    f"{BLOCK}.transformer_blocks.0.attn2.to_out.0",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj",
]
CONVS = {f"{BLOCK}.proj_in": 1, "down_blocks.0.resnets.0.conv1": 3, "up_blocks.1.resnets.0.conv_shortcut": 1}


def factors(weight, rank):
    out, inputs = weight.shape[:2]
    if weight.dim() == 2:
        return torch.randn(rank, inputs), torch.randn(out, rank)
    kernel = weight.shape[2:]
    return torch.randn(rank, inputs, *kernel), torch.randn(out, rank, 1, 1)


def merged(lora, names, **options):
    unet = tiny_unet()
    unet.load_lora_adapter(dict(lora), prefix="unet", **options)
    unet.fuse_lora()
    unet.unload_lora()
    state = unet.state_dict()
    return {f"{name}.weight": state[f"{name}.weight"].contiguous() for name in names}


def loras():
    """The same layers in three spellings, each with its own numbers and rank."""
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers

    weights = tiny_unet().state_dict()
    save_file({k: v.contiguous() for k, v in weights.items()}, OUT / "unet.safetensors")
    torch.manual_seed(1)
    names = LINEAR + list(CONVS)
    kohya, peft, diffusers = {}, {}, {}
    for at, name in enumerate(names):
        weight, rank = weights[f"{name}.weight"], 2 + at % 2
        down, up = factors(weight, rank)
        flat = "lora_unet_" + name.replace(".", "_")
        kohya |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
        # One alpha for all: diffusers loses those of attention layers that differ.
        kohya[f"{flat}.alpha"] = torch.tensor(1.5)
        down, up = factors(weight, 3)
        peft |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        down, up = factors(weight, 2)
        processor = name.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.")
        processor = processor.replace("to_out.0", "to_out")
        dot = "_" if ".processor." in processor else "."
        diffusers |= {
            f"{processor}{dot}lora.down.weight": down,
            f"{processor}{dot}lora.up.weight": up,
        }
    diffusers = {f"unet.{key}": value for key, value in diffusers.items()}
    of_unet = {f"unet.{key}": value for key, value in peft.items()}
    state, alphas = _convert_non_diffusers_lora_to_diffusers(dict(kohya))
    expected = {
        "kohya": merged(state, names, network_alphas=alphas),
        "diffusers": merged(diffusers, names),
        "peft": merged(of_unet, names),
    }
    # PEFT tells its alpha in the file's metadata.
    told = {"unet.r": 3, "unet.lora_alpha": 6, "unet.target_modules": names}
    told["unet.alpha_pattern"] = {names[1]: 12}
    expected["peft_alpha"] = merged(of_unet, names, metadata=dict(told))
    save_file(kohya, OUT / "lora_kohya.safetensors")
    save_file(diffusers, OUT / "lora_diffusers.safetensors")
    save_file({f"base_model.model.{key}": value for key, value in peft.items()}, OUT / "lora_peft.safetensors")
    metadata = {"lora_adapter_metadata": json.dumps(told)}
    save_file(of_unet, OUT / "lora_peft_alpha.safetensors", metadata)
    flat = {f"{spelling}.{k}": v for spelling, state in expected.items() for k, v in state.items()}
    save_file(flat, OUT / "merged.safetensors")


def text_encoder():
    """One LoRA in PEFT's spelling for a text encoder of one layer."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(2)
    sizes = dict(vocab_size=20, hidden_size=8, intermediate_size=16, num_hidden_layers=1)
    config = CLIPTextConfig(**sizes, num_attention_heads=2, max_position_embeddings=10)
    model = CLIPTextModel(config)
    names = [f"encoder.layers.0.{n}" for n in ("self_attn.q_proj", "self_attn.out_proj", "mlp.fc1")]
    base = {f"{name}.weight": model.state_dict()[f"{name}.weight"].clone() for name in names}
    lora = {}
    for name in names:
        down, up = factors(base[f"{name}.weight"], 2)
        key = f"text_encoder.text_model.{name}"
        lora |= {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
    StableDiffusionPipeline.load_lora_into_text_encoder(dict(lora), None, model, "text_encoder")
    changed = {}
    for path, module in model.named_modules():
        if hasattr(module, "merge"):
            module.merge()
            changed[f"{path}.weight"] = module.base_layer.weight.detach()
    assert set(changed) == set(base)
    save_file(lora, OUT / "lora_text.safetensors")
    both = {f"base.text_model.{key}": value for key, value in base.items()}
    both |= {f"merged.text_model.{key}": value.contiguous() for key, value in changed.items()}
    save_file(both, OUT / "text_encoder.safetensors")


def wrapped():
    """A checkpoint as PyTorch Lightning nests it, with what it keeps besides weights."""
    module = types.ModuleType("pytorch_lightning.callbacks.model_checkpoint")
    callback = type("ModelCheckpoint", (), {"__module__": module.__name__})
    module.ModelCheckpoint = callback
    sys.modules |= {
        name: module
        for name in ("pytorch_lightning", "pytorch_lightning.callbacks", module.__name__)
    }
    state = {
        "model.diffusion_model.out.2.bias": torch.tensor([1.0, 2.0]),
        "first_stage_model.encoder.mid.attn_1.q.weight": torch.eye(2)[:, :, None, None],
        "cond_stage_model.transformer.text_model.final_layer_norm.bias": torch.tensor([3.0]),
        "model_ema.decay": torch.tensor(0.5),
    }
    best = numpy.float64(0.25)
    callbacks = {callback: {"best_model_score": best, "monitor": "loss"}}
    checkpoint = {"epoch": 3, "state_dict": state, "callbacks": callbacks, "best": best}
    torch.save(checkpoint, OUT / "lightning.ckpt")


OUT.mkdir(exist_ok=True)
wrapped()
single_file()
control_net()
loras()
text_encoder()
