"""Pipelines of diffusers on tiny random networks: diffusers/ beside this folder.

    pip install torch==2.6.0 diffusers==0.42.1 transformers==5.24.0 peft==0.21.2
    python tests/goldens/gen/pipelines.py

On the CPU, with the seeds written below. `base/` and `controlnet/` are what `save_pretrained`
writes, in float16; each run is made by a pipeline that `from_pretrained` reads back from them, in
float32. The networks are shaped like Stable Diffusion 1.5, level by level and layer by layer, and no
tensor is left at zero or one, as those of a new network are. `runs.json` has the settings of each
run, `runs.safetensors` its final latents; noise comes from `torch.Generator("cpu")`, so that the seed
says it all. `single_file.json` has every tensor of `base/` under the name that it has in a single
file, with a digest of its bytes: diffusers made `base/` of that file again.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.utils import logging
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = Path(__file__).resolve().parent.parent
OUT = HERE / "diffusers"
WIDTH, HEIGHT = 128, 64
PROMPT = "a red cat, sitting"
NEGATIVE = "blurry"
SD15 = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
    steps_offset=1,
)


def randomised(module, seed):
    """`module` with values of its own in every tensor, as float16 holds them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() < 2:
            is_norm = parameter.data.eq(1).all()
            noise = 0.1 * noise + (1.0 if is_norm else 0.0)
        else:
            noise = noise / parameter[0].numel() ** 0.5
        parameter.data = noise.half()
    return module.half()


def tokenizer():
    """Every byte, inside and at the end of a word, and a few merges."""
    codes = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = [chr(code) for code in codes]
    characters += [chr(256 + i) for i in range(256 - len(codes))]
    merges = [("c", "a"), ("ca", "t</w>"), ("r", "e"), ("re", "d</w>"), ("i", "n")]
    words = characters + [f"{c}</w>" for c in characters] + ["".join(pair) for pair in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: at for at, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def networks():
    words = tokenizer()
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 32, 32, 32), layers_per_block=2,
        cross_attention_dim=32, attention_head_dim=4,
    )
    controlnet = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(8, 8, 16, 16)
    )
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[8, 16, 16, 16], layers_per_block=2, norm_num_groups=8, sample_size=64,
    )
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    pipeline = StableDiffusionPipeline(
        vae=randomised(vae, 1), text_encoder=randomised(CLIPTextModel(config), 2), tokenizer=words,
        unet=randomised(unet, 3), scheduler=DDIMScheduler(**SD15, **WITHOUT_CLIPPING),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )
    pipeline.save_pretrained(OUT / "base", max_shard_size="800KB")
    randomised(controlnet, 4).save_pretrained(OUT / "controlnet")


WITHOUT_CLIPPING = dict(clip_sample=False, set_alpha_to_one=False)


def pictures():
    """A picture to change and one to follow."""
    across, down = numpy.meshgrid(numpy.arange(WIDTH), numpy.arange(HEIGHT))
    picture = numpy.stack([2 * across, 4 * down, 255 - across - down], axis=-1)
    Image.fromarray(picture.astype(numpy.uint8)).save(OUT / "picture.png")
    edges = ((across // 16 + down // 8) % 3 == 0) * 255
    control = numpy.stack([edges, 255 - edges, (across + 2 * down) % 256], axis=-1)
    Image.fromarray(control.astype(numpy.uint8)).save(OUT / "control.png")


ATTENTION = [f"attn{a}.to_{p}" for a in (1, 2) for p in ("q", "k", "v", "out.0")]


def layers(network, chosen):
    """Names of the layers that end in one of `chosen`, with their weights' shapes."""
    state = {k.removeprefix("text_model."): v for k, v in network.state_dict().items()}
    names = {name.removesuffix(".weight"): tensor.shape for name, tensor in state.items()}
    return {n: s for n, s in names.items() if len(s) > 1 and n.endswith(tuple(chosen))}


def factors(shape, rank, generator):
    """Factors whose product is about a third as large as a weight."""
    out, fan_in = shape[0], shape[1:].numel()
    down = torch.randn(rank, *shape[1:], generator=generator) / fan_in**0.5
    up = 0.3 * torch.randn(out, rank, *[1] * (len(shape) - 2), generator=generator) / rank**0.5
    return down.half(), up.half()


def loras(pipeline):
    """One LoRA for attention and text in three spellings, and one for nearly every layer, as the
    LoRAs of latent consistency models are."""
    generator = torch.Generator().manual_seed(5)
    unet = layers(pipeline.unet, ATTENTION)
    text = layers(pipeline.text_encoder, ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"])
    kohya, diffusers, peft = {}, {}, {}
    for prefix, table in [("unet", unet), ("text_encoder", text)]:
        for name, shape in table.items():
            down, up = factors(shape, 2, generator)
            full = name if prefix == "unet" else f"text_model.{name}"
            flat = f"lora_{'te' if prefix != 'unet' else 'unet'}_{full.replace('.', '_')}"
            kohya |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
            kohya[f"{flat}.alpha"] = torch.tensor(1.0)
            peft |= {f"{prefix}.{full}.lora_A.weight": down, f"{prefix}.{full}.lora_B.weight": up}
            old = full.replace("attn1.", "attn1.processor.").replace("attn2.", "attn2.processor.")
            dot, old = ("_", old.removesuffix(".0")) if prefix == "unet" else (".", old)
            kind = "lora" if prefix == "unet" else "lora_linear_layer"
            diffusers |= {
                f"{prefix}.{old}{dot}{kind}.down.weight": down,
                f"{prefix}.{old}{dot}{kind}.up.weight": up,
            }
    save_file(kohya, OUT / "lora_kohya.safetensors")
    save_file(diffusers, OUT / "lora_diffusers.safetensors")
    save_file(peft, OUT / "lora_peft.safetensors")
    chosen = [f"to_{p}" for p in ("q", "k", "v", "out.0")] + ["ff.net.0.proj", "ff.net.2"]
    chosen += ["proj_in", "proj_out", "conv1", "conv2", "conv_shortcut", "time_emb_proj"]
    chosen += ["downsamplers.0.conv", "upsamplers.0.conv"]
    lcm = {}
    for name, shape in layers(pipeline.unet, chosen).items():
        down, up = factors(shape, 2, generator)
        flat = f"lora_unet_{name.replace('.', '_')}"
        lcm |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
        lcm[f"{flat}.alpha"] = torch.tensor(1.0)
    save_file(lcm, OUT / "lora_lcm.safetensors")


def read(kind, **options):
    pipeline = kind.from_pretrained(
        OUT / "base", torch_dtype=torch.float32, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, **options,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


RUNS, LATENTS = [], {}


def run(name, pipeline, scheduler=DDIMScheduler, options=(), lora=None, **settings):
    """Runs `pipeline` with one of its samplers and records what it did."""
    config = {**SD15, **dict(options)}
    if scheduler in (DDIMScheduler, DDPMScheduler, LCMScheduler):
        config = {**WITHOUT_CLIPPING, **config}
    if scheduler is DDPMScheduler:
        config.pop("set_alpha_to_one")
    pipeline.scheduler = scheduler(**config)
    settings = dict(num_inference_steps=5, guidance_scale=4.0, seed=len(RUNS)) | settings
    arguments = dict(settings)
    generator = torch.Generator("cpu").manual_seed(arguments.pop("seed"))
    if lora:
        pipeline.load_lora_weights(OUT / f"lora_{lora[0]}.safetensors")
        arguments["cross_attention_kwargs"] = dict(scale=lora[1])
    inputs = dict(prompt=PROMPT, negative_prompt=NEGATIVE)
    if isinstance(pipeline, StableDiffusionImg2ImgPipeline):
        inputs["image"] = clean_latents(pipeline)
    else:
        inputs |= dict(width=WIDTH, height=HEIGHT)
    if isinstance(pipeline, StableDiffusionControlNetPipeline):
        inputs["image"] = Image.open(OUT / "control.png")
    latents = pipeline(**inputs, **arguments, generator=generator, output_type="latent").images
    assert latents.isfinite().all() and latents.std() > 0.1, name
    RUNS.append(
        dict(name=name, scheduler=scheduler.__name__, config=config, lora=lora, **settings)
    )
    LATENTS[name] = latents.contiguous()
    print(name, float(latents.std()), flush=True)


def check_runs():
    """Spellings of one LoRA are to agree, and all other runs to differ from each other."""
    names = [run["name"] for run in RUNS]
    for at, name in enumerate(names):
        for other in names[:at]:
            apart = (LATENTS[name] - LATENTS[other]).abs().max() / LATENTS[other].abs().max()
            alike = {name, other} == {"lora_diffusers", "lora_peft"}
            assert (apart < 1e-5) if alike else (apart > 0.05), (name, other, float(apart))


def clean_latents(pipeline):
    """Latents of the picture: the mean of the distribution, not a draw from it."""
    image = pipeline.image_processor.preprocess(Image.open(OUT / "picture.png"))
    mean = pipeline.vae.encode(image).latent_dist.mode()
    return mean * pipeline.vae.config.scaling_factor


def runs():
    v = dict(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    dpm = dict(use_karras_sigmas=False, final_sigmas_type="sigma_min")
    text = read(StableDiffusionPipeline)
    run("ddim", text)
    run("ddim_eta", text, eta=0.7)
    run("ddim_zero_snr", text, options={**v, "timestep_spacing": "trailing"})
    run("ddpm", text, DDPMScheduler)
    run("euler", text, EulerDiscreteScheduler)
    run("euler_leading", text, EulerDiscreteScheduler, dict(timestep_spacing="leading"))
    run("euler_ancestral", text, EulerAncestralDiscreteScheduler)
    run("dpmsolver", text, DPMSolverMultistepScheduler, dpm, num_inference_steps=16)
    run("without_guidance", text, guidance_scale=1.0)
    run("lcm", text, LCMScheduler, num_inference_steps=4, guidance_scale=1.5)
    # A pipeline that had one LoRA does not forget the strength of it.
    run("lora_kohya", read(StableDiffusionPipeline), lora=("kohya", 0.7), seed=100)
    run("lora_diffusers", read(StableDiffusionPipeline), lora=("diffusers", 0.7), seed=100)
    run("lora_peft", read(StableDiffusionPipeline), lora=("peft", 0.7), seed=100)
    few = dict(num_inference_steps=4, guidance_scale=1.0)
    run("lora_lcm", read(StableDiffusionPipeline), LCMScheduler, lora=("lcm", 1.0), **few)
    LATENTS["prompt_embeds"], _ = text.encode_prompt(PROMPT, "cpu", 1, False)

    network = ControlNetModel.from_pretrained(OUT / "controlnet", torch_dtype=torch.float32)
    control = read(StableDiffusionControlNetPipeline, controlnet=network)
    run("control", control, EulerDiscreteScheduler, controlnet_conditioning_scale=0.8)
    part = dict(control_guidance_start=0.2, control_guidance_end=0.7)
    run("control_part", control, num_inference_steps=6, **part)
    run("control_guess", control, guess_mode=True, seed=101)

    image = read(StableDiffusionImg2ImgPipeline)
    for kind, options in [
        (DDIMScheduler, {}),
        (DDPMScheduler, {}),
        (EulerDiscreteScheduler, {}),
        (EulerAncestralDiscreteScheduler, {}),
        (DPMSolverMultistepScheduler, dpm),
        (LCMScheduler, {}),
    ]:
        name = kind.__name__.removesuffix("Scheduler").lower()
        # With the seed that would be its turn this one amplifies a change of a millionth 400-fold.
        seed = dict(seed=22) if kind is EulerAncestralDiscreteScheduler else {}
        run(f"image_{name}", image, kind, options, num_inference_steps=8, strength=0.55, **seed)
    run("image_full", image, EulerDiscreteScheduler, strength=1.0)
    LATENTS["clean_latents"] = clean_latents(image)


def textual_inversion():
    """Words with one and two vectors, as diffusers and as web interfaces write them."""
    generator = torch.Generator().manual_seed(6)
    one, two = (torch.randn(n, 32, generator=generator) for n in (1, 2))
    (OUT / "words").mkdir()
    save_file({"<thing>": one[0]}, OUT / "words/thing.safetensors")
    save_file({"emb_params": two}, OUT / "words/style.safetensors")
    torch.save(
        {"string_to_token": {"*": 265}, "string_to_param": {"*": two}, "name": "style", "step": 7},
        OUT / "words/style.pt",
    )
    embeds = {}
    pipeline = read(StableDiffusionPipeline)
    pipeline.load_textual_inversion(OUT / "words/thing.safetensors")
    pipeline.load_textual_inversion(OUT / "words/style.safetensors", token="style")
    for name, prompt in [
        ("one", "a <thing>, sitting"),
        ("two", "a cat in style, red"),
        ("both", "<thing> style"),
    ]:
        embeds[f"{name}.embeds"], _ = pipeline.encode_prompt(prompt, "cpu", 1, False)
        text = pipeline.maybe_convert_prompt(prompt, pipeline.tokenizer)
        ids = pipeline.tokenizer(text, padding="max_length", return_tensors="pt").input_ids
        embeds[f"{name}.ids"] = ids[0].int()
    save_file({k: v.contiguous() for k, v in embeds.items()}, OUT / "words/prompts.safetensors")


def single_file():
    """The names of `base/` in a single file, of which diffusers makes `base/` again."""
    table = json.loads((HERE / "formats/single_file_keys.json").read_text())
    base = read(StableDiffusionPipeline)
    parts = dict(unet=base.unet, vae=base.vae, text_encoder=base.text_encoder)
    single, count = {}, 0
    for part, network in parts.items():
        state = network.state_dict()
        if part == "text_encoder":
            state = {f"text_model.{k.removeprefix('text_model.')}": v for k, v in state.items()}
        for ldm, (name, _) in table[part].items():
            if name in state:
                is_projection = ".attn_1." in ldm and state[name].dim() == 2
                value = state[name][:, :, None, None] if is_projection else state[name]
                single[ldm] = value.half().contiguous()
        count += len(state)
    assert len(single) == count
    path = Path("/tmp/single.safetensors")
    save_file(single, path)
    again = StableDiffusionPipeline.from_single_file(
        path, config=str(OUT / "base"), torch_dtype=torch.float32
    )
    for part, network in parts.items():
        state = getattr(again, part).state_dict()
        assert set(state) == set(network.state_dict())
        assert all(torch.equal(state[k], v) for k, v in network.state_dict().items()), part
    digest = lambda tensor: hashlib.md5(tensor.numpy().tobytes()).hexdigest()
    lines = [
        f"{json.dumps(name)}: {json.dumps([list(tensor.shape), digest(tensor)])}"
        for name, tensor in sorted(single.items())
    ]
    (OUT / "single_file.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


logging.set_verbosity_error()
torch.set_num_threads(1)
shutil.rmtree(OUT, ignore_errors=True)
OUT.mkdir()
torch.set_grad_enabled(False)
networks()
pictures()
loras(read(StableDiffusionPipeline))
runs()
check_runs()
lines = ",\n".join(json.dumps(settings) for settings in RUNS)
(OUT / "runs.json").write_text(f"[\n{lines}\n]\n")
save_file({k: v.contiguous() for k, v in LATENTS.items()}, OUT / "runs.safetensors")
textual_inversion()
single_file()
for file in OUT.rglob("*.*"):
    file.chmod(0o644)
