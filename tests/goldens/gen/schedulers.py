"""Samplers of diffusers on fixed model outputs: tests/goldens/schedulers.json.

    pip install torch diffusers==0.42.1
    python tests/goldens/gen/schedulers.py
"""

import json
from pathlib import Path

import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
)

SHAPE = (1, 2, 1, 2, 2)
SD = dict(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000
)
RUNS = [
    (DDIMScheduler, 5, 1.0, dict(steps_offset=1, set_alpha_to_one=False)),
    (DDIMScheduler, 6, 0.3, dict(timestep_spacing="linspace", prediction_type="v_prediction")),
    (DDIMScheduler, 7, 0.0, dict(
        timestep_spacing="trailing", prediction_type="v_prediction", rescale_betas_zero_snr=True)),
    (DDPMScheduler, 5, 0.0, dict(variance_type="fixed_large")),
    (DDPMScheduler, 8, 0.0, dict(
        variance_type="fixed_small_log", timestep_spacing="trailing",
        prediction_type="v_prediction")),
    (LCMScheduler, 6, 0.0, dict(prediction_type="v_prediction", set_alpha_to_one=False)),
    (DPMSolverMultistepScheduler, 7, 0.0, dict(
        solver_type="heun", final_sigmas_type="sigma_min", use_karras_sigmas=False)),
    (DPMSolverMultistepScheduler, 16, 0.0, dict(
        prediction_type="v_prediction", final_sigmas_type="sigma_min", use_karras_sigmas=False)),
    (EulerDiscreteScheduler, 6, 0.0, dict(
        prediction_type="v_prediction", rescale_betas_zero_snr=True)),
    (EulerDiscreteScheduler, 6, 0.0, dict(
        timestep_spacing="trailing", prediction_type="v_prediction",
        rescale_betas_zero_snr=True)),
    (EulerAncestralDiscreteScheduler, 6, 0.0, dict()),
    (EulerAncestralDiscreteScheduler, 5, 0.0, dict(prediction_type="v_prediction")),
    (LCMScheduler, 4, 0.0, dict(set_alpha_to_one=False, original_inference_steps=40)),
]


class Draws:
    """Hands out recorded noise in place of torch's generator."""

    def __init__(self, noise):
        self.noise = list(noise)

    def __call__(self, shape, **_):
        return self.noise.pop(0).reshape(shape)


def run(kind, steps, eta, options):
    config = {**SD, **options}
    if kind in (DDIMScheduler, DDPMScheduler, LCMScheduler):
        config["clip_sample"] = False
    scheduler = kind(**config)
    scheduler.set_timesteps(steps)
    generator = torch.Generator().manual_seed(steps)
    outputs = torch.randn((steps, *SHAPE), generator=generator)
    noise = torch.randn((steps, *SHAPE), generator=generator)
    first = torch.randn(SHAPE, generator=generator)
    draws = Draws(noise)
    module = __import__(kind.__module__, fromlist=["randn_tensor"])
    module.randn_tensor = draws
    sample = first * scheduler.init_noise_sigma
    samples = []
    for output, timestep in zip(outputs, scheduler.timesteps):
        scheduler.scale_model_input(sample, timestep)
        arguments = dict(eta=eta) if kind is DDIMScheduler else {}
        sample = scheduler.step(output, timestep, sample, **arguments).prev_sample
        samples.append(sample)
    used = steps - len(draws.noise)
    return dict(
        scheduler=kind.__name__,
        steps=steps,
        eta=eta,
        config=config,
        timesteps=scheduler.timesteps.double().tolist(),
        init_noise_sigma=float(scheduler.init_noise_sigma),
        initial=first.flatten().tolist(),
        outputs=outputs.flatten().tolist(),
        noise=noise[:used].flatten().tolist(),
        samples=torch.stack(samples).flatten().tolist(),
    )


runs = [run(*arguments) for arguments in RUNS]
target = Path(__file__).parent.parent / "schedulers.json"
target.write_text(json.dumps(runs, indent=None, separators=(",", ":")) + "\n")
