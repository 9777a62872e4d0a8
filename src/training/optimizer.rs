//! One update of the weights: clipped gradients, the optimiser, and a running mean of the weights.

use std::f64::consts::PI;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use super::config::{OptimizerConfig, OptimizerKind};
use super::muon::Muon;
use super::resumable::Resumable;

/// AdamW's denominator; small, for branches of a network begin with tiny gradients.
const EPSILON: f32 = 1e-8;

/// The optimiser of `config` for `module`, without state.
pub(super) fn optimizer<M: Module>(config: &OptimizerConfig, module: &M) -> ModuleOptimizer {
    let adam_w = AdamWConfig::new()
        .with_beta_1(config.beta_1)
        .with_beta_2(config.beta_2)
        .with_epsilon(EPSILON)
        .with_weight_decay(config.weight_decay)
        .build();
    let all = ModuleOptimizer::from(Resumable(adam_w));
    match config.kind {
        OptimizerKind::AdamW => all,
        OptimizerKind::Muon => {
            let mut matrices = Matrices::default();
            module.visit(&mut matrices);
            let group = ParamGroup::from_ids(matrices.ids);
            let muon = Muon::new(f64::from(config.weight_decay));
            all.with_group(group, Resumable(muon), None)
        }
    }
}

/// Weights that take vectors to vectors. Tables of embeddings are lists of vectors, and the first
/// and the last layer deal with few channels that differ in kind.
#[derive(Default)]
struct Matrices {
    path: Vec<String>,
    ids: Vec<ParamId>,
}

impl ModuleVisitor for Matrices {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let others = ["token_embedding", "position_embedding", "conv_in", "conv_out"];
        if D > 1 && !self.path.iter().any(|name| others.contains(&name.as_str())) {
            self.ids.push(param.id);
        }
    }
}

impl OptimizerConfig {
    /// The learning rate of update `step` of `steps`: linear warm-up, then half a cosine.
    pub(super) fn learning_rate_at(&self, step: usize, steps: usize) -> f64 {
        let warm = (step + 1) as f64 / self.warmup_steps.max(1) as f64;
        if warm < 1.0 {
            return self.learning_rate * warm;
        }
        let rest = steps.saturating_sub(self.warmup_steps).max(1);
        let progress = (step - self.warmup_steps.min(step)) as f64 / rest as f64;
        let cosine = 0.5 * (1.0 + (PI * progress.min(1.0)).cos());
        self.learning_rate * (self.final_share + (1.0 - self.final_share) * cosine)
    }

    /// The decay of the running mean at update `step`: short at first, for the weights it begins
    /// with are worth nothing.
    pub(super) fn ema_decay_at(&self, step: usize) -> f64 {
        let step = step as f64;
        self.ema_decay.min((1.0 + step) / (10.0 + step))
    }
}

/// Numbers the parameters in the order of the module, so that the optimiser's state, which goes by
/// number, is found again by the next process.
pub(super) fn numbered<M: Module>(module: M) -> M {
    struct Number(u64);
    impl ModuleMapper for Number {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.0 += 1;
            let (_, tensor, mapper) = param.consume();
            Param::from_mapped_value(ParamId::from(self.0), tensor, mapper)
        }
    }
    module.map(&mut Number(0))
}

/// Scales the gradients down so that all together have at most `max_norm`, and returns the norm
/// they had, `[1]`; nothing is read from the device.
pub(super) fn clip_norm<M: Module>(
    module: &M,
    gradients: &mut GradientsParams,
    max_norm: f64,
) -> Tensor<1> {
    let mut squares = Squares { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    let norm = Tensor::cat(squares.sums, 0).sum().sqrt();
    let factor = (norm.clone().recip() * max_norm).clamp_max(1.0);
    module.visit(&mut Scale { gradients, factor });
    norm
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.sums.push(gradient.powi_scalar(2).sum());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: Tensor<1>,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient * self.factor.clone().unsqueeze());
        }
    }
}

/// The running mean `mean` moved towards `module` by the share `1 - decay`.
pub(super) fn averaged<M: Module>(mean: M, module: &M, decay: f64) -> M {
    let mut current = Values(GradientsParams::new());
    module.visit(&mut current);
    mean.map(&mut Blend { current: current.0, decay })
}

/// Tensors by the parameter they belong to, which need not be gradients.
struct Values(GradientsParams);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().inner());
    }
}

struct Blend {
    current: GradientsParams,
    decay: f64,
}

impl ModuleMapper for Blend {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(current) = self.current.remove::<D>(param.id) else { return param };
        param.map(|mean| mean * self.decay + current * (1.0 - self.decay))
    }
}
