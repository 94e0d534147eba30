//! From settings to the trainer and its update rule.

use asyn::core::{
    Adam, AdamForm, Adf, Averaging, Instruments, L2Form, Moments, Read, Replicas, Sampling,
    Schedule, Sgd, Strategy, Trainer, TrainerBuilder, Update, Write,
};

use crate::choice::{
    InstrumentsChoice, L2FormChoice, MomentsChoice, ReadChoice, SamplingChoice, ScheduleChoice,
    UpdateChoice, WriteChoice,
};
use crate::failure::Failure;
use crate::network::NetworkSettings;
use crate::settings::Settings;

/// Returns how workers read if their strategy does not say.
pub(crate) fn read(settings: &Settings) -> Read {
    match settings.read {
        ReadChoice::InPlace => Read::InPlace,
        ReadChoice::Snapshot => Read::Snapshot,
    }
}

/// Makes the trainer of the settings.
pub(crate) fn trainer<S: Strategy, U: Update>(
    settings: &Settings,
    strategy: S,
    update: U,
) -> Result<Trainer<S, U>, Failure> {
    // Of a CRF a copy could be what does not fit into memory, and divergence leaves no model.
    let builder = builder(settings, strategy, update).keep_good(settings.bilstm.is_some());
    Ok(builder.build().map_err(asyn::Error::from)?)
}

/// Sets up the trainer of the settings, which keeps no good weights aside.
pub(crate) fn builder<S: Strategy, U: Update>(
    settings: &Settings,
    strategy: S,
    update: U,
) -> TrainerBuilder<S, U> {
    let replicas = settings.replicas.and_then(|replication| replication.0);
    let replicas = replicas.map(|rows| Replicas { rows, merge_every: settings.merge_every });
    Trainer::builder()
        .strategy(strategy)
        .update(update)
        .threads(settings.threads.get())
        .passes(settings.passes)
        .seed(settings.seed)
        .sampling(match settings.sampling {
            SamplingChoice::WithoutReplacement => Sampling::WithoutReplacement,
            SamplingChoice::WithReplacement => Sampling::WithReplacement,
        })
        .read(read(settings))
        .write(match settings.write {
            WriteChoice::Racy => Write::Racy,
            WriteChoice::Cas => Write::Cas,
        })
        .accumulate(settings.accumulate)
        .sums_every(settings.sums_every)
        .sparse_threshold(real(settings.sparse_threshold))
        .replicas(replicas)
        .delay(settings.delay.map(Into::into))
        .instruments(match settings.instruments {
            InstrumentsChoice::Off => Instruments::default(),
            InstrumentsChoice::Default => Instruments::default_set(),
            InstrumentsChoice::Full => Instruments::full(),
        })
        .segment_len(settings.segment.get())
        .keep_good(false)
}

/// Returns which form of Adam an update rule is, if it is one.
pub(crate) fn form_of(update: UpdateChoice) -> Option<AdamForm> {
    match update {
        UpdateChoice::Adam => Some(AdamForm::Adam),
        UpdateChoice::Rmsprop => Some(AdamForm::RmsProp),
        UpdateChoice::Momentum => Some(AdamForm::Momentum),
        _ => None,
    }
}

/// Makes the update rule Adam of the settings, or another form of it.
pub(crate) fn adam(settings: &Settings, form: AdamForm) -> Adam {
    let NetworkSettings { beta_1, beta_2, epsilon, warm_up, clip, moments, .. } =
        settings.bilstm.clone().unwrap_or_default();
    Adam {
        form,
        schedule: schedule(settings),
        beta_1: real(beta_1),
        beta_2: real(beta_2),
        epsilon: real(epsilon),
        warm_up: real(warm_up),
        clip: clip.map_or(f32::INFINITY, real),
        moments: match moments {
            MomentsChoice::Shared => Moments::Shared,
            MomentsChoice::Mixed => Moments::Mixed,
            MomentsChoice::Private => Moments::Private,
        },
    }
}

fn schedule(settings: &Settings) -> Schedule {
    let rate = real(settings.rate.unwrap_or_default());
    match settings.schedule {
        ScheduleChoice::Constant => Schedule::Constant { rate },
        ScheduleChoice::Exponential => Schedule::Exponential { rate, factor: real(settings.decay) },
        ScheduleChoice::InverseTime => {
            Schedule::InverseTime { rate, half_life: real(settings.half_life) }
        }
    }
}

/// Makes the update rule SGD of the settings.
pub(crate) fn sgd(settings: &Settings, averaging: Averaging) -> Sgd {
    let schedule = schedule(settings);
    Sgd { schedule, l2: real(settings.l2), averaging, l2_form: l2_form(settings) }
}

/// Makes the update rule ADF of the settings.
pub(crate) fn adf(settings: &Settings) -> Adf {
    Adf {
        rate: real(settings.rate.unwrap_or_default()),
        alpha: real(settings.alpha),
        beta: real(settings.beta),
        windows: settings.windows,
        factor: real(settings.decay),
        l2: real(settings.l2),
        l2_form: l2_form(settings),
    }
}

fn l2_form(settings: &Settings) -> Option<L2Form> {
    settings.l2_form.map(|form| match form {
        L2FormChoice::Exact => L2Form::Exact,
        L2FormChoice::OnTouch => L2Form::OnTouch,
        L2FormChoice::PerWindow => L2Form::PerWindow,
        L2FormChoice::PerPass => L2Form::PerPass,
    })
}

#[allow(clippy::cast_possible_truncation, reason = "settings need no more than f32")]
pub(crate) fn real(number: f64) -> f32 {
    number as f32
}
