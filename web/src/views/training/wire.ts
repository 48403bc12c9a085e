// What the lab says about runs, by short names.

import type { Wire } from '../../api/client';

export type RunFacts = Wire<'RunFacts'>;
export type FormField = Wire<'FormField'>;
export type FormGroup = Wire<'FormGroup'>;
export type Runs = Wire<'Runs'>;
export type RunDetails = Wire<'RunDetails'>;
export type MetricsMeta = Wire<'MetricsMeta'>;
export type Sample = Wire<'Sample'>;
export type Samples = Wire<'Samples'>;
export type HistogramsMeta = Wire<'HistogramsMeta'>;
export type AttentionMeta = Wire<'AttentionMeta'>;
export type Preset = Wire<'Preset'>;
export type Form = Wire<'Form'>;
export type Check = Wire<'Check'>;
export type Comparison = Wire<'Comparison'>;
export type Job = Wire<'Job'>;
