"""Writes ../textual_inversion/: files of learned words in every format, and what diffusers makes of them.

Made with torch 2.6.0, diffusers 0.42.1, transformers 5.24.0, seed 0. The text encoder is tiny and random; the
tokenizer is that of ../tokenizer.
"""

import json
import pathlib

import torch
from diffusers.loaders import TextualInversionLoaderMixin
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

GOLDENS = pathlib.Path(__file__).resolve().parent.parent
OUT = GOLDENS / "textual_inversion"
WIDTH = 32
PROMPTS = ["a blurhand cat", "blurhand, <toy>, softlight", "(no learned word)"]


class Pipe(TextualInversionLoaderMixin):
    components = {}
    hf_device_map = None


OUT.mkdir(exist_ok=True)
torch.manual_seed(0)
tokenizer = CLIPTokenizer(str(GOLDENS / "tokenizer/vocab.json"), str(GOLDENS / "tokenizer/merges.txt"))
ends = {name: tokenizer.convert_tokens_to_ids(token) for name, token in
        (("bos_token_id", "<|startoftext|>"), ("eos_token_id", "<|endoftext|>"))}
config = CLIPTextConfig(vocab_size=len(tokenizer), hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2,
                        num_attention_heads=4, hidden_act="quick_gelu", **ends)
encoder = CLIPTextModel(config).eval()
with torch.no_grad():
    for parameter in encoder.parameters():
        parameter.normal_(0, 0.15).add_(0.05)
state = {name: value.clone() for name, value in encoder.state_dict().items() if "position_ids" not in name}
prefix = "" if any(name.startswith("text_model.") for name in state) else "text_model."
save_file({prefix + name: value for name, value in state.items()}, OUT / "text_encoder.safetensors")

vectors = {"blurhand": torch.randn(3, WIDTH), "<toy>": torch.randn(WIDTH), "softlight": torch.randn(2, WIDTH)}
web_ui = {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": vectors["blurhand"]},
          "name": "another name", "step": 500, "sd_checkpoint": None, "sd_checkpoint_name": None}
torch.save(web_ui, OUT / "blurhand.pt")
parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors["blurhand"])})
torch.save({**web_ui, "string_to_param": parameters}, OUT / "parameters.pt")
torch.save({"<toy>": vectors["<toy>"]}, OUT / "learned_embeds.bin")
save_file({"emb_params": vectors["softlight"].half()}, OUT / "softlight.safetensors")

pipe = Pipe()
for token in vectors:
    value = vectors[token].half().float() if token == "softlight" else vectors[token]
    pipe.load_textual_inversion({token: value}, tokenizer=tokenizer, text_encoder=encoder)
results, states = [], {}
for at, prompt in enumerate(PROMPTS):
    for vectors_meant in ("first", "all"):
        text = pipe.maybe_convert_prompt(prompt, tokenizer) if vectors_meant == "all" else prompt
        ids = tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids
        results.append({"prompt": prompt, "vectors": vectors_meant, "ids": ids[0].tolist()})
        with torch.no_grad():
            states[f"{vectors_meant}{at}"] = encoder(ids).last_hidden_state[0].contiguous()
save_file(states, OUT / "states.safetensors")
(OUT / "ids.json").write_text(json.dumps(results) + "\n")
